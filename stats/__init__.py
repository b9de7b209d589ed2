"""Numbers: sums in, results out; speaks of arms, visitors and draws, never of rows or requests."""

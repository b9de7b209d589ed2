"""Rules: conditions over attributes, what may be saved as one, and the same by columns."""

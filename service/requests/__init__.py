"""What every request goes through: bodies in, answers out, origins, rates, traces."""

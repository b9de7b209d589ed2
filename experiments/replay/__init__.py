"""What other policies would have earned with the same visitors."""

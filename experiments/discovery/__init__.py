"""Segments that an experiment's own visitors suggest."""

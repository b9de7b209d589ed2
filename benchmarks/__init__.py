"""Measurements, one file per question; run by `make bench`, never as tests."""

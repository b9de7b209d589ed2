"""The papers on privacy: as a page and as text."""

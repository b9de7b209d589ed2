"""The discovery for people: as a page and as text, and its chart."""

"""How often visitors are written to, for people: as a page and as text."""

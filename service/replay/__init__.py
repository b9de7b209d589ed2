"""The what-if for people: as a page and as text, its chart, and the tables that may be asked."""

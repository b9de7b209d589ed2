"""The report for people: as a page, as text, as a table, and its charts."""

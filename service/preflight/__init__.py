"""The pre-flight for people: its form, as a page and as text."""

"""All SQL, and the databases that run it."""

"""People: who may log in, by which session, and what each role may see."""

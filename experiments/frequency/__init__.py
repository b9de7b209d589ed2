"""How often visitors are exposed, caps on it, and whether one more send is worth it."""

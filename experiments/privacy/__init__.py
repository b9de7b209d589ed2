"""What visitors are owed: consent, objection, access, erasure, retention, small cells."""

"""E-mails: digests and reminders, and the relay that takes them."""

"""Sources and sinks: what they are by settings, folders, the webhook, and their errands."""

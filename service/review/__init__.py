"""The review of segments: over HTTP, as a page and as text, and its chart."""

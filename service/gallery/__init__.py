"""Ready campaigns: their entries, over HTTP and as a page."""

"""Events through a log to several databases: taken in, applied to shards, collected."""

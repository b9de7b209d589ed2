"""The domain: the pure core, the use cases, and below them `storage`, the only place with SQL."""

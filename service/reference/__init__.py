"""The reference: what endpoints say of themselves, as OpenAPI and as a page."""

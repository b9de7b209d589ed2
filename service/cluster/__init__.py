"""A node whose events go through a log: joining, how it does, what is measured."""

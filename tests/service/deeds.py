"""Who did it, and when, where a test does something by itself."""

from experiments.audit import Deed

#: 2026-12-01T10:00:00Z
NOW_MS = 1_796_119_200_000
DEED = Deed("test", NOW_MS)

"""The version: of the package, of every ledger row and of every report."""

VERSION = "0.1.0"

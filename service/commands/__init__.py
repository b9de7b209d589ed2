"""The commands of `bespoke`, one file a noun; `service.cli` says which there are."""

"""An experiment's record as it was exported, and what is added up of it by an engine."""

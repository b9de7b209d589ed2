"""The page of all campaigns, what may be done to one, and its ledger in words."""

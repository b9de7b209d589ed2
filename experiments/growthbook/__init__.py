"""What GrowthBook's SDKs are given and send."""

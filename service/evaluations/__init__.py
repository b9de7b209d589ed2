"""Evaluations for programs: OpenFeature's protocol, GrowthBook's payload, lists of visitors."""

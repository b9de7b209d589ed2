"""Tables in CSV: visitors in and letters out, outcomes, exports."""

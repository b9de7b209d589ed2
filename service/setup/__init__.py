"""The guided set-up: the experiment document as a form in steps."""

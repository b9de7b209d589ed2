"""Messages: templates, written for one visitor or for many, within bounds."""

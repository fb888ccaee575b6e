"""The tool on hosts that are crowded: make load."""

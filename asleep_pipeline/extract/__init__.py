"""What to ask the API for, in which order, and how the answers get into `raw`."""

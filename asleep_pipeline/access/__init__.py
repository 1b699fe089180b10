"""Who asks, and what they may see: API tokens and the callers they stand for."""

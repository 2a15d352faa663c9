"""Who this hospital is, by keys of its own, and whose word it takes."""

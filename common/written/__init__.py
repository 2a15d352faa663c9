"""Files that people write, and what is wrong in them, by name and line."""

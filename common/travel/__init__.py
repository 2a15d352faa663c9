"""What travels between the sides, signed and in parts, and how it is read."""

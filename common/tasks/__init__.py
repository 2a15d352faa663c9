"""One family of formulas a file: arrays in, arrays out, and no other power."""

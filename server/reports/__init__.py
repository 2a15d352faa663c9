"""What a study found, for a program, a page and a terminal."""

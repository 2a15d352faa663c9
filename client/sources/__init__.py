"""Where a hospital keeps its records: one kind of source a file, read as text."""

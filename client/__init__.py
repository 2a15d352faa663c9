"""A hospital: the only code that holds records."""

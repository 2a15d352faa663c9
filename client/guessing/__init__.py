"""Guesses at a mapping, by the kind of the source; looked at here, and not sent."""

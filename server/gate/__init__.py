"""Where hospitals come in: by certificate only, bounded, and to few paths."""

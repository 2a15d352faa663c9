"""How good a model is on people it has not seen, for whom, and what it looks at."""

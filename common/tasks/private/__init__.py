"""Tasks under a promise: a person's part is bounded, and the sums have noise."""

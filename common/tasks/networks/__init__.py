"""Networks, with and without a promise: layers, clipped gradients, steps, votes."""

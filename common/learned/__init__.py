"""A learned model as files for others: our own, ONNX, Keras, and its card."""

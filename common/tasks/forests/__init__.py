"""Random forests from histograms, and which of their settings predicts best."""

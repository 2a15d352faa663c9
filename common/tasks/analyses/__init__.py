"""Questions to the data that fit no model: tests, quantiles, groups, curves."""

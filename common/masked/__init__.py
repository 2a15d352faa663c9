"""Secure aggregation: the aggregator learns the sum, and nothing of one site."""

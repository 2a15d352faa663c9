"""Arithmetic that tasks share: intervals, scores, trees, and counts of few."""

"""Models that are linear in their columns, from sums: least squares, Newton, Cox."""

"""Rounds that another implementation must repeat to the last bit, and refuse."""

"""Invented people, and all that four invented hospitals wrote about them."""

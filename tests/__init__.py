"""Tests, one folder a package; above them the laws that every task obeys."""

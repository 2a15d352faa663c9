"""What both sides agree on: studies, tasks, messages. Imports neither side."""

__version__ = "0.1.0"

"""What a study may say, section by section, and whether it fits together."""

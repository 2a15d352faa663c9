"""Real people, dealt to hospitals that do not exist."""

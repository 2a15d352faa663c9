"""Does a study keep its promise? One person more, and an attacker who looks."""

"""A formula over the table: who is drawn, what is clipped, how much noise is added."""

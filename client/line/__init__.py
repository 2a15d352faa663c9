"""The resident process: it calls out, hears a question, and hands back the answer."""

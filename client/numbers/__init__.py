"""From a hospital's text to one number for each record, and every change counted."""

"""From numbers to the clean table of a study: joined, cleaned, counted, cached."""

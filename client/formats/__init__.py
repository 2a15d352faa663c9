"""What readers share: text, dates, files by person, samples, pixels."""

"""Was joining worth it? Alone, together and pooled, on the same test people."""

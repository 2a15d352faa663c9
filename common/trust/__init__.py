"""Keys, signatures, certificates, and the documents by which a hospital joins."""

"""What ``site.toml`` says of sources: where a hospital's records are, and whose."""

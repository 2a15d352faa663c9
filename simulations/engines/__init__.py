"""What carries a study out here: one process, Ray's actors, or the real thing."""

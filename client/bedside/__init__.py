"""What a learned model says of a hospital's own people: here, and to nobody else."""

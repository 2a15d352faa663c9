"""What a hospital's people type: each command of ``consilium client``."""

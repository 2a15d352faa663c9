"""Who takes part: the consortium's folder, its authority, invited and admitted."""

"""What a site keeps on its disk: its ledger, what follows from it, its answers."""

"""What a treatment changes, as far as declared covariates can tell."""

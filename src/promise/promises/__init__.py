"""What a model is held to, and what the evidence says."""

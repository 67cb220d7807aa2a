"""What the scripts of the chest X-ray pipeline share: one module per concern, importing any of them does nothing else."""

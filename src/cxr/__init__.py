"""What the scripts of the chest X-ray pipeline share: a module per concern; importing one does nothing else."""

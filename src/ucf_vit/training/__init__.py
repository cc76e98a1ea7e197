"""Training: launch, loop, validation, checkpoints and output of a run."""

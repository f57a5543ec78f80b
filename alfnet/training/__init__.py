"""Samples, losses, checkpoints and the training loop."""

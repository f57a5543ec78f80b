"""What the paper's setting takes: every stage measured at full size, and what follows for all trainings (docs/scale.md)."""

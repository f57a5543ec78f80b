"""Many trainings side by side: Git worktrees, DVC's run cache, and submitit as the executor."""

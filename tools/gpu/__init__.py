"""What can only be checked where there is a GPU: `make gpu` checks it, measures it, and writes one table (docs/gpu.md)."""

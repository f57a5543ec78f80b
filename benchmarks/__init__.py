"""Measurements beside peers in the same run, as ratios: `python -m benchmarks.NAME`."""

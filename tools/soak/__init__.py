"""The soak test: damaged inputs, kills, signals, full disks and races, against what the project promises.

`make soak` runs the long form and writes docs/reliability.md; `make test` runs a short form (tests/test_soak.py).
"""

"""python -m alfnet.cli."""

from alfnet.cli import main

main()

"""python -m alfnet."""

from alfnet.cli import main

main()

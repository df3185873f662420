"""`python -m etl` is `etl`."""

from etl.cli import main

main()

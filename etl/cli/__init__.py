"""The command line: arguments -> one call -> output and an exit code.

Only here is an error printed.
"""

from etl.cli.app import main

__all__ = ["main"]

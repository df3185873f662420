"""The `etl` command on a real terminal (a pty) of a given width, as people see it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def etl_on_terminal(columns: int, *arguments: str, cwd: Path, **settings: str) -> list[str]:
    """The lines that stand on a terminal of so many columns after `etl` has ended, longer ones as
    they are."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        unset = {"COLUMNS", "LINES", "LC_ALL", "LC_MESSAGES", "LANG", "ETL_LANG"}
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        here = Path(__file__).parent.parent
        environment = kept | {"PYTHONPATH": str(here), "PYTHONUTF8": "1", "TERM": "xterm"}
        command = [sys.executable, "-m", "etl", *arguments]
        os.execve(sys.executable, command, environment | settings)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    os.waitpid(child, 0)
    text = ESCAPES.sub("", shown.decode()).replace("\r\n", "\n")
    # Of a line that was drawn anew (the progress bar), what was drawn last.
    return [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the last writer has gone
        return b""

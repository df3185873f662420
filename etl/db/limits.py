"""No transaction lasts for ever: the server's timeouts end it, or the connection is cut off.

What a transaction needs of the server's session is said here, too, at the begin of each one: a
pooler may give every transaction another session, and no setting of a server, a database, a role
or a client may change what is read or written.
"""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.errors import InterruptedRunError, OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection as PsycopgConnection
    from sqlalchemy import Connection

LOCK_SECONDS = 30.0
"""How long a lock is waited for at most, of another writer of a SQLite file as of a PostgreSQL
table."""

GRACE_SECONDS = 0.5
"""How much longer than its limit a transaction is let be: the server's own timeout comes first."""

AFTER_SIGNAL_SECONDS = 3.0
"""What the database gets, in all, to put an ended run on record and to take its leases back."""

AFTER_TIME_SECONDS = 6.0
"""The same where no signal came, but ETL_MAX_RUNTIME is over."""

CANCEL_SECONDS = 1.0
"""How long a server is given to stop a statement."""

_SESSION = {
    # How values are written and read.
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    # A copy that reads slowly from one database does not sit idle in the other.
    "idle_in_transaction_session_timeout": "0",
}
_TRANSACTION_TIMEOUT_SINCE = (17,)


class StopSwitch:
    """Ends what the database is asked, in all threads of a run, when a signal came. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pressed = threading.Event()
        self._open: set[_Transaction] = set()
        self.signum = 0
        self.until = math.inf
        """Until when (of `time.monotonic()`) a transaction may last: for ever, as long as no signal
        came."""

    def stop(self, signum: int) -> None:
        """Cut off what is open; all that begins later has AFTER_SIGNAL_SECONDS together."""
        with self._lock:
            self.signum = signum
            self.until = time.monotonic() + AFTER_SIGNAL_SECONDS
            self._pressed.set()
            cut = list(self._open)
        for each in cut:
            threading.Thread(target=each.cut_off, name="etl-stop", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Sleep, unless a signal comes or came."""
        self._pressed.wait(seconds)

    @contextmanager
    def watching(self, connection: Connection, ends: float) -> Iterator[None]:
        """Watch an open connection: cut it off after a signal, or a little after `ends`."""
        driver: Any = connection.connection.driver_connection
        watched = _Transaction(driver)
        with self._lock:
            self._open.add(watched)
        timer = None
        ends = min(ends, self.until)
        if ends < math.inf:
            seconds = max(0.0, ends - time.monotonic()) + GRACE_SECONDS
            timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), watched.cut_off)
            timer.daemon = True
            with suppress(RuntimeError):  # no more threads: the server's own timeouts are left
                timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            with self._lock:
                self._open.discard(watched)
            watched.over()


class _Transaction:
    """A driver's connection that another thread may end, as long as the transaction is not over."""

    def __init__(self, driver: sqlite3.Connection | PsycopgConnection) -> None:
        self._driver: sqlite3.Connection | PsycopgConnection | None = driver
        self._lock = threading.Lock()

    def over(self) -> None:
        with self._lock:
            self._driver = None

    def cut_off(self) -> None:
        with self._lock:
            if self._driver is None:
                return
            with suppress(Exception):  # whatever it raises, the run is ended
                _cut_off(self._driver)


def _cut_off(driver: sqlite3.Connection | PsycopgConnection) -> None:
    if isinstance(driver, sqlite3.Connection):
        driver.interrupt()
        return
    with suppress(Exception):  # a server that is silent takes no request to cancel either
        driver.cancel_safe(timeout=CANCEL_SECONDS)
    # It may be between two statements, or not listening: then only the connection's end ends it.
    with socket.socket(fileno=os.dup(driver.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Until when (`time.monotonic()`) transactions of an OA may last, and what ends them sooner."""

    ends: float = math.inf
    switch: StopSwitch = field(default_factory=StopSwitch)

    @property
    def left(self) -> float:
        """Seconds."""
        return min(self.ends, self.switch.until) - time.monotonic()

    def check(self, cause: BaseException | None = None) -> None:
        """Raise where it is over.

        Raises:
            InterruptedRunError: a signal came, and what came after it had its time.
            OutOfTimeError: ETL_MAX_RUNTIME is over.
        """
        if self.switch.signum and (cause is not None or self.left <= 0):
            raise InterruptedRunError(self.switch.signum) from cause
        if self.left <= 0:
            raise OutOfTimeError("the run reached ETL_MAX_RUNTIME") from cause

    def pause(self, seconds: float) -> None:
        """Sleep before another try. Raises as `check` does."""
        self.switch.wait(min(seconds, max(0.0, self.left)))
        if self.switch.signum:
            raise InterruptedRunError(self.switch.signum)
        self.check()

    def longer(self) -> TimeLimit:
        """Give a limit for all that is to be said of a run whose time may be over."""
        return TimeLimit(self.ends + AFTER_TIME_SECONDS, self.switch)

    def at_most(self, seconds: float) -> TimeLimit:
        """Give a limit that is no later than so many seconds from now."""
        return TimeLimit(min(self.ends, time.monotonic() + seconds), self.switch)


def begin_on_postgresql(connection: Connection, limit: TimeLimit) -> None:
    """Say what this transaction needs of the session, and how long it may last: one statement.

    `set_config(…, true)` is SET LOCAL: nothing outlives the transaction.
    """
    left = max(0.001, limit.left)
    for_a_lock = left if left < math.inf else LOCK_SECONDS
    needs = {
        **_SESSION,
        # 0 is for ever.
        "statement_timeout": f"{left * 1000:.0f}ms" if left < math.inf else "0",
        "lock_timeout": f"{for_a_lock * 1000:.0f}ms",
    }
    version = connection.dialect.server_version_info or (0,)
    if version >= _TRANSACTION_TIMEOUT_SINCE:
        needs["transaction_timeout"] = "0"
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in needs.items())
    connection.exec_driver_sql(f"SELECT {calls}")

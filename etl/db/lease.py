"""One run per OA at a time, on any number of hosts: a token and an expiry in the OA's row.

The expiry is by the database's own clock.

No advisory locks: they vanish behind a pooler. The fence is what makes the lease safe: the first
statement of every transaction that writes is conditional on the token, so that a process that was
paused and wakes late can change nothing.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy import and_, not_, or_, select, text, update

from etl.db.engine import limited, time_limit_of, upserting, writing
from etl.db.tables import official_accounts, snapshots
from etl.errors import BusyError, DatabaseUnreachableError, LeaseLostError
from etl.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Engine
    from sqlalchemy.sql.elements import TextClause

LEASE_SECONDS = 60
"""How long a lease outlives its last renewal."""

CLOCK_SLACK_SECONDS = 10
"""How far the database's clock may be set back before a lease that it gave is of another time."""

RENEW_SECONDS = 20.0
"""Between two renewals of a lease."""

ABANDONED = "abandoned"
"""The reason of a `running` snapshot whose run died without a word."""


def database_clock(dialect: str, *, seconds: int = 0) -> TextClause:
    """The database's clock now, or so many seconds later.

    Not the transaction's start, which may lie far back.
    """
    if dialect == "sqlite":
        return text(f"(strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds} seconds') || '000+00:00')")
    return text(f"(clock_timestamp() + interval '{seconds} seconds')")


class Lease:
    """The right to write about one OA."""

    def __init__(self, engine: Engine, oaid: str, token: str) -> None:
        self.engine = engine
        self.oaid = oaid
        self._token = token
        self._ended = threading.Event()
        self._resting = threading.Lock()

    def __repr__(self) -> str:
        return f"Lease({self.oaid!r})"

    def take(self, connection: Connection, now: datetime) -> None:
        """Begin to hold it; register the OA where it is new; close what a dead run left behind.

        Raises:
            BusyError: another run holds it.
        """
        dialect = connection.dialect.name
        connection.execute(
            upserting(connection, official_accounts)
            .values(oaid=self.oaid, created_at=now)
            .on_conflict_do_nothing()
        )
        free = or_(official_accounts.c.lease_token.is_(None), not_(_runs(dialect)))
        taken = connection.execute(
            update(official_accounts)
            .where(official_accounts.c.oaid == self.oaid, free)
            .values(
                lease_token=self._token,
                lease_expires_at=database_clock(dialect, seconds=LEASE_SECONDS),
            )
        )
        if taken.rowcount != 1:
            raise BusyError(f"another run holds OA {self.oaid}")
        connection.execute(
            update(snapshots)
            .where(snapshots.c.oaid == self.oaid, snapshots.c.status == Status.RUNNING)
            .values(status=Status.FAILED, reason=ABANDONED, finished_at=now)
        )

    def fence(self, connection: Connection) -> None:
        """The first statement of a transaction that writes: ours still, or nothing happens.

        Renews the lease, too.

        Raises:
            LeaseLostError: it ran out, or was taken over.
        """
        if not self._renew(connection):
            raise LeaseLostError(f"the lease of OA {self.oaid} was lost while we were away")

    @contextmanager
    def transaction(self, *, last: bool = False) -> Iterator[Connection]:
        """A transaction that writes under the lease: the renewer rests, and the fence comes first.

        Args:
            last: whether it says what became of a run whose time may be over: it gets a little
                more.

        Raises:
            LeaseLostError: the lease ran out, or was taken over.
            DatabaseUnreachableError: the database cannot be written.
            OutOfTimeError, InterruptedRunError: the time of the run is over.
        """
        with self._alone(last=last) as engine, writing(engine) as connection:
            self.fence(connection)
            yield connection

    def release(self, connection: Connection) -> None:
        """Give it back, in the same transaction as the last thing written under it."""
        connection.execute(
            update(official_accounts)
            .where(self._ours())
            .values(lease_token=None, lease_expires_at=None)
        )

    def renew_until_ended(self, every: float) -> None:
        """Renew now and then; the body of the renewing thread.

        What cannot be renewed is noticed by the fence.
        """
        while not self._ended.wait(every):
            with self._resting, suppress(Exception):
                if self._ended.is_set():
                    return
                # Whatever a run may take: whoever waits for the renewer waits no longer than this.
                soon = limited(self.engine, time_limit_of(self.engine).at_most(every))
                with writing(soon) as connection:
                    self._renew(connection)

    def end(self) -> None:
        """Stop renewing, and give back what is still ours; where that fails, it ends by itself."""
        self._ended.set()
        # Suppressed: what became of the run counts, not what became of its lease.
        with suppress(Exception), self._alone(last=True) as engine, writing(engine) as connection:
            self.release(connection)

    @contextmanager
    def _alone(self, *, last: bool) -> Iterator[Engine]:
        """The renewer rests; gives the database, within the time that is left."""
        limit = time_limit_of(self.engine).longer() if last else time_limit_of(self.engine)
        if not self._resting.acquire(timeout=min(max(0.0, limit.left), threading.TIMEOUT_MAX)):
            limit.check()
            raise DatabaseUnreachableError("the database failed: the lease is still being renewed")
        try:
            yield limited(self.engine, limit)
        finally:
            self._resting.release()

    def _ours(self) -> ColumnElement[bool]:
        return and_(
            official_accounts.c.oaid == self.oaid, official_accounts.c.lease_token == self._token
        )

    def _renew(self, connection: Connection) -> bool:
        dialect = connection.dialect.name
        renewed = connection.execute(
            update(official_accounts)
            .where(self._ours(), _runs(dialect))
            .values(lease_expires_at=database_clock(dialect, seconds=LEASE_SECONDS))
        )
        return renewed.rowcount == 1


@contextmanager
def acquire(
    engine: Engine, oaid: str, *, now: datetime, renew_every: float = RENEW_SECONDS
) -> Iterator[Lease]:
    """Hold the lease of an OA; register the OA where it is new; close what a dead run left behind.

    Raises:
        BusyError: another run holds it.
        DatabaseUnreachableError: the database cannot be written.
    """
    lease = Lease(engine, oaid, secrets.token_hex(16))
    with writing(engine) as connection:
        lease.take(connection, now)
    renewer = threading.Thread(
        target=lease.renew_until_ended, args=(renew_every,), name="etl-lease", daemon=True
    )
    try:
        renewer.start()
        yield lease
    finally:
        lease.end()


def held(connection: Connection, oaid: str) -> bool:
    """Whether some run holds the OA now."""
    statement = select(official_accounts.c.oaid).where(
        official_accounts.c.oaid == oaid, _runs(connection.dialect.name)
    )
    return connection.execute(statement).first() is not None


def _runs(dialect: str) -> ColumnElement[bool]:
    """Whether a lease runs now. One that ends later than any can was given by a wrong clock."""
    return and_(
        official_accounts.c.lease_expires_at > database_clock(dialect),
        official_accounts.c.lease_expires_at
        <= database_clock(dialect, seconds=LEASE_SECONDS + CLOCK_SLACK_SECONDS),
    )

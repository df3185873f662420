"""One OA, from its lease to its snapshot (DESIGN §4).

    lease → sweep → one transaction: fence, stage, diff, guard, apply, record → release

No connection and no transaction is held while the network is read. A run that fails, is refused,
raced or killed changes no follower row; it leaves at most its own snapshot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from etl.db import forgotten, snapshots, stage
from etl.db import lease as leases
from etl.db.engine import reading, worth_another_try, writing
from etl.db.forgotten import recogniser
from etl.errors import BusyError, DatabaseUnreachableError, EtlError, FaultError, LeaseLostError
from etl.model import BUSY, Diff, Page, Snapshot, Status
from etl.sync.guard import GuardLimits, hold, let_through
from etl.sync.reconcile import apply, compare
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Engine

    from etl.db.forgotten import StandIn
    from etl.db.lease import Lease
    from etl.model import Sweep

APPLY_WAITS = (0, 1, 5)
"""Seconds before each further try of the one transaction, where the database rolled it back through no fault of ours: at once
after a deadlock; a server that restarts needs a few. Where a try itself takes long, the fence ends what outlives the lease."""

_EXIT = {Status.COMPLETE: 0, Status.PARTIAL: 75, Status.HELD: 65}


class Esms(Protocol):
    """What a sync needs of the eSMS client."""

    def page(self, oaid: str, offset: int) -> Page:
        """The page of an OA's followers at an offset."""

    def requests_of(self, oaid: str) -> int:
        """How many requests were made for the OA."""

    def retries_of(self, oaid: str) -> int:
        """How many of them were tried again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings a sync decides by."""

    sweep: SweepLimits
    max_unfollow_share: float
    unfollow_floor: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one OA: its snapshot (never stored for a dry run or a busy OA), seconds, exit code, and the error if any."""

    snapshot: Snapshot
    duration_s: float
    exit_code: int
    error: EtlError | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What all OAs of one run share."""

    esms: Esms
    engine: Engine | None
    limits: Limits
    zone: ZoneInfo
    allow_mass_unfollow: bool = False
    on_page: Callable[[str, int, int, int], None] = lambda oaid, look, end, total: None  # noqa: ARG005 - a callback that ignores all
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def begun(self, oaid: str) -> Snapshot:
        """The snapshot of a run that begins now."""
        now = self.clock()
        return Snapshot(
            None, oaid, Status.RUNNING, taken_at=now, taken_on=now.astimezone(self.zone).date()
        )


def sync_account(run: Run, oaid: str) -> Outcome:
    """Bring our picture of one OA up to date, or leave it untouched and say why. Raises no error of ours: the outcome has it."""
    started = time.monotonic()
    begun = run.begun(oaid)
    try:
        with leases.acquire(_database(run), oaid, now=begun.taken_at) as lease:
            return _outcome(*_sync_leased(run, lease, begun), started)
    except EtlError as failure:
        return _outcome(_unrecorded(run, begun, failure), failure, started)


def preview_account(run: Run, oaid: str) -> Outcome:
    """What `sync_account` would do now, writing nothing at all. `run.engine` is None where there is no database yet."""
    started = time.monotonic()
    begun = run.begun(oaid)
    try:
        return _outcome(_preview(run, begun), None, started)
    except EtlError as failure:
        return _outcome(_unrecorded(run, begun, failure), failure, started)


def _sync_leased(run: Run, lease: Lease, begun: Snapshot) -> tuple[Snapshot, EtlError | None]:
    with writing(lease.engine) as connection:
        lease.fence(connection)
        running = snapshots.begin(connection, begun)
        gap = snapshots.previous_gap(connection, running.oaid)
        expected = snapshots.last_following(connection, running.oaid)
        stand_ins = forgotten.stand_ins(connection, running.oaid)
    try:
        with Spool(expected=expected, recognise=recogniser(stand_ins)) as spool:
            swept = _sweep(
                run, running.oaid, spool, previous_gap=gap, add_known=partial(_add_following, lease)
            )
            departed = [stand_in for stand_in in stand_ins if stand_in.departed]
            return _apply(run, lease, _read(run, running, swept), swept, spool, departed), None
    except EtlError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - whatever it is, the run is put on record and the other OAs are synced
        failure = FaultError(f"{type(error).__name__} in etl")
        failure.__cause__ = error
    failed = _failed(run, running, failure)
    _record(lease, failed)
    return failed, failure


def _sweep(
    run: Run,
    oaid: str,
    spool: Spool,
    *,
    previous_gap: int | None,
    add_known: Callable[[Spool], None],
) -> Sweep:
    return sweep(
        partial(run.esms.page, oaid),
        spool,
        add_known=add_known,
        previous_gap=previous_gap,
        limits=run.limits.sweep,
        on_page=partial(run.on_page, oaid),
    )


def _add_following(lease: Lease, spool: Spool) -> None:
    # While nothing is read from the network. Nobody else can change them: whoever writes holds the
    # lease.
    with reading(lease.engine) as connection:
        spool.add_known(stage.known(connection, lease.oaid))


def _read(run: Run, snapshot: Snapshot, swept: Sweep) -> Snapshot:
    """The snapshot with what the sweep found, before the guard has spoken."""
    return replace(
        snapshot,
        status=Status.COMPLETE if swept.complete else Status.PARTIAL,
        reason=str(swept.reason) if swept.reason else None,
        total=swept.total,
        seen=swept.seen,
        looks=swept.looks,
        requests=run.esms.requests_of(snapshot.oaid),
        retries=run.esms.retries_of(snapshot.oaid),
    )


def _apply(
    run: Run, lease: Lease, read: Snapshot, swept: Sweep, spool: Spool, departed: Sequence[StandIn]
) -> Snapshot:
    """The one transaction, tried again where the database itself rolled it back; a refusal of the guard is put on record."""
    for wait in (*APPLY_WAITS, None):
        try:
            return _apply_once(run, lease, read, swept, spool, departed)
        except _Held as held:
            _record(lease, held.snapshot, strict=True)
            return held.snapshot
        except (DatabaseUnreachableError, LeaseLostError) as failure:
            if (done := _committed(lease, read)) is not None:
                return done
            if wait is None or not worth_another_try(failure):
                raise
            time.sleep(wait)
    raise AssertionError("unreachable: the last try returns or raises")


def _apply_once(
    run: Run, lease: Lease, read: Snapshot, swept: Sweep, spool: Spool, departed: Sequence[StandIn]
) -> Snapshot:
    """All of it, or none of it."""
    with lease.resting(), writing(lease.engine) as connection:
        lease.fence(connection)
        diff = _diff(connection, read.oaid, swept, spool)
        finished = replace(_judged(run, connection, read, swept, diff), finished_at=run.clock())
        if finished.status == Status.HELD:
            raise _Held(finished)
        forgotten.drop(connection, lease.oaid, departed)
        apply(connection, finished, diff)
        if not snapshots.finish(connection, finished):
            raise LeaseLostError(f"the snapshot of OA {lease.oaid} was closed by another run")
        lease.release(connection)
    return finished


def _diff(connection: Connection, oaid: str, swept: Sweep, spool: Spool) -> Diff:
    """Stage what differs, if anything does, and count it."""
    arrived, gone = spool.arrivals(), spool.missing() if swept.complete else 0
    if arrived or gone:
        stage.load(connection, arrived=spool.arrived(), gone=spool.gone() if gone else ())
    baseline = snapshots.baseline_open(connection, oaid)
    return compare(
        connection, oaid, following=spool.following(), arrived=arrived, gone=gone, baseline=baseline
    )


def _judged(
    run: Run, connection: Connection | None, read: Snapshot, swept: Sweep, diff: Diff
) -> Snapshot:
    """Complete or partial with its counts; or held, with what it would have marked."""
    counted = replace(
        read, baseline=diff.baseline, followed=diff.followed, refollowed=diff.refollowed, unfollowed=diff.unfollowed,
        following=diff.following_after,
    )  # fmt: skip
    if not swept.complete:
        return counted
    allowed = None
    if run.allow_mass_unfollow and connection is not None:
        before = snapshots.held_unfollowed(connection, read.oaid)
        allowed = let_through(before) if before is not None else None
    limits = GuardLimits(run.limits.max_unfollow_share, run.limits.unfollow_floor, allowed)
    why = hold(diff, seen=swept.seen, limits=limits)
    return (
        counted
        if why is None
        else replace(counted, status=Status.HELD, reason=why, following=diff.following)
    )


def _preview(run: Run, begun: Snapshot) -> Snapshot:
    oaid = begun.oaid
    if run.engine is None:
        with Spool() as spool:
            swept = _sweep(
                run, oaid, spool, previous_gap=None, add_known=lambda known: known.add_known([])
            )
            return _judged(
                run, None, _read(run, begun, swept), swept, Diff(following=0, baseline=swept.seen)
            )
    with reading(run.engine) as connection:
        if leases.held(connection, oaid):
            raise BusyError(f"another run holds OA {oaid}")
        gap = snapshots.previous_gap(connection, oaid)
        expected = snapshots.last_following(connection, oaid)
        stand_ins = forgotten.stand_ins(connection, oaid)
    engine = run.engine

    def add_known(spool: Spool) -> None:
        with reading(engine) as connection:
            spool.add_known(stage.known(connection, oaid))
            spool.add_known(stage.known(connection, oaid, following=False), following=False)

    with Spool(expected=expected, recognise=recogniser(stand_ins)) as spool:
        swept = _sweep(run, oaid, spool, previous_gap=gap, add_known=add_known)
        returned = spool.returned()
        new = spool.arrivals() - returned
        with reading(engine) as connection:
            baseline = snapshots.baseline_open(connection, oaid)
            diff = Diff(
                following=spool.following(),
                baseline=new if baseline else 0,
                followed=0 if baseline else new,
                refollowed=returned,
                unfollowed=swept.missing if swept.complete else 0,
            )
            return _judged(run, connection, _read(run, begun, swept), swept, diff)


class _Held(Exception):  # noqa: N818 - no error: it carries a verdict out of a transaction that must roll back
    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot.reason)
        self.snapshot = snapshot


def _record(lease: Lease, snapshot: Snapshot, *, strict: bool = False) -> None:
    """Put a held or failed run on record, behind the same fence, and give the lease back with it."""
    try:
        with lease.resting(), writing(lease.engine) as connection:
            lease.fence(connection)
            snapshots.finish(connection, snapshot)
            lease.release(connection)
    except (LeaseLostError, DatabaseUnreachableError):
        # The next run finds it `running` and calls it abandoned; what failed first is what must be
        # told.
        if strict:
            raise


def _committed(lease: Lease, read: Snapshot) -> Snapshot | None:
    """After a connection lost during COMMIT: the snapshot, if it is there all the same."""
    try:
        with reading(lease.engine) as connection:
            there = snapshots.get(connection, read.id or 0)
    except DatabaseUnreachableError:
        return None
    return there if there is not None and there.status == read.status else None


def _database(run: Run) -> Engine:
    assert run.engine is not None  # noqa: S101 - only a preview may do without a database
    return run.engine


def _unrecorded(run: Run, begun: Snapshot, failure: EtlError) -> Snapshot:
    """What became of a run that is not on record: busy, or failed before it began or while it could not be told."""
    if isinstance(failure, BusyError):
        return replace(begun, status=BUSY, reason=failure.reason)
    return _failed(run, begun, failure)


def _failed(run: Run, snapshot: Snapshot, failure: EtlError) -> Snapshot:
    return replace(
        snapshot,
        status=Status.FAILED,
        finished_at=run.clock(),
        reason=f"{failure.reason}: {failure}",
        requests=run.esms.requests_of(snapshot.oaid),
        retries=run.esms.retries_of(snapshot.oaid),
    )


def _outcome(snapshot: Snapshot, error: EtlError | None, started: float) -> Outcome:
    exit_code = error.exit_code if error else _EXIT[Status(snapshot.status)]
    return Outcome(snapshot, round(time.monotonic() - started, 3), exit_code, error)

"""One run of one OA, from its lease to its snapshot.

    lease → sweep → one transaction: fence, stage, decide, apply, record → release

No transaction is open while the network is read, and no connection but for a moment every 20 s,
when the lease is renewed. A run that fails, is refused, raced or killed changes no follower row; it
leaves at most its own snapshot and, of a new OA, its row in `official_accounts`
(docs/design.md#a-run).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from etl.db import forgotten, snapshots, stage
from etl.db import lease as leases
from etl.db.engine import limited, reading, time_limit_of, worth_another_try
from etl.db.snapshots import Before
from etl.errors import BusyError, EtlError, ExitCode, LeaseLostError, UnknownAccountError, as_ours
from etl.model import Snapshot, Status, Sweep
from etl.sync.decide import Difference, decide
from etl.sync.read import WINDOW_ZONE, read_list
from etl.sync.reconcile import apply, count_returned
from etl.sync.run import Outcome, Run
from etl.sync.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from etl.db.lease import Lease
    from etl.sync.decide import Decision

APPLY_WAITS = (0, 1, 5)
"""Seconds before the second, third and fourth try of the one transaction, where the database rolled
it back: none after a deadlock; a server that restarts needs a few. The fence ends what outlives the
lease."""

_EXIT = {
    Status.COMPLETE: ExitCode.OK,
    Status.PARTIAL: ExitCode.TRY_LATER,
    Status.HELD: ExitCode.CONTRADICTION,
}


def sync_oa(run: Run, oaid: str) -> Outcome:
    """Bring the database up to date with the list of one OA, or leave it untouched and say why.

    Raises no error of ours: the outcome has it.
    """
    return _outcome_of(run, oaid, _sync)


def preview_oa(run: Run, oaid: str) -> Outcome:
    """What `sync_oa` would do now, writing nothing at all.

    `run.engine` is None where there is no database yet.
    """
    return _outcome_of(run, oaid, _preview)


def _sync(run: Run, begun: Snapshot) -> tuple[Snapshot, EtlError | None]:
    assert run.engine is not None  # noqa: S101 - only a dry run may do without a database
    with leases.acquire(run.engine, begun.oaid, now=begun.taken_at) as lease:
        with lease.transaction() as connection:
            running = snapshots.begin(connection, begun)
            before = snapshots.before(connection, begun.oaid)
        try:
            with _spool(before) as spool:
                swept = _sweep(run, lease.engine, begun.oaid, before, spool)
                return _commit(run, lease, running, before, swept, spool), None
        except Exception as error:  # noqa: BLE001 - whatever it is goes on record, and the other OAs are synced
            failure = as_ours(error)
        return _record_failure(lease, run.failed(running, failure), failure), failure


def _preview(run: Run, begun: Snapshot) -> tuple[Snapshot, EtlError | None]:
    before = Before()
    if run.engine is not None:
        with reading(run.engine) as connection:
            if leases.held(connection, begun.oaid):
                raise BusyError(f"another run holds OA {begun.oaid}")
            before = snapshots.before(connection, begun.oaid)
    with _spool(before) as spool:
        swept = _sweep(run, run.engine, begun.oaid, before, spool)
        if run.engine is not None:
            with reading(run.engine) as connection:
                spool.add_known(
                    stage.known(connection, begun.oaid, following=False), following=False
                )
        difference = Difference(spool.arrivals(), spool.returned(), swept.missing)
        found = run.found(begun, swept)
        return _decided(found, decide(before, swept, difference, run.limits), run.clock()), None


def _spool(before: Before) -> Spool:
    return Spool(expected=before.following, recognise=forgotten.recogniser(before.stand_ins))


def _sweep(run: Run, engine: Engine | None, oaid: str, before: Before, spool: Spool) -> Sweep:
    """Read the list of one OA into the spool."""

    def add_known() -> None:
        # Nobody else changes them meanwhile: whoever writes holds the lease. (A dry run holds none:
        # what another run writes meanwhile may show in its answer.)
        if engine is None:
            spool.add_known([])
            return
        with reading(engine) as connection:
            spool.add_known(stage.known(connection, oaid))

    return read_list(
        partial(run.esms.page, oaid),
        partial(run.esms.users_between, oaid) if run.windows else None,
        spool,
        add_known=add_known,
        limits=run.limits.sweep,
        gaps=before.gaps_of,
        last_source=before.last_source,
        renew=run.esms.fresh_connections,
        today=lambda: run.clock().astimezone(WINDOW_ZONE).date(),
        on_page=partial(run.on_page, oaid),
    )


def _commit(
    run: Run, lease: Lease, running: Snapshot, before: Before, swept: Sweep, spool: Spool
) -> Snapshot:
    """The one transaction, tried again where the database itself rolled it back."""
    found = run.found(running, swept)
    finished = found
    for wait in (*APPLY_WAITS, None):
        try:
            with lease.transaction() as connection:
                difference = _stage(connection, lease.oaid, swept, spool)
                decision = decide(before, swept, difference, run.limits)
                finished = _decided(found, decision, run.clock())
                _apply(connection, finished, decision, before)
                lease.release(connection)
        except EtlError as failure:
            if _recorded(lease.engine, finished):  # the connection was lost during COMMIT
                return finished
            if wait is None or not worth_another_try(failure):
                raise
            time_limit_of(lease.engine).pause(wait)
        else:
            return finished
    raise AssertionError("unreachable: the last try returns or raises")


def _apply(connection: Connection, finished: Snapshot, decision: Decision, before: Before) -> None:
    """Change the followers as decided (of a held snapshot: not at all), and put it on record."""
    if decision.status is not Status.HELD:
        departed = [each for each in before.stand_ins if each.departed]
        forgotten.drop(connection, finished.oaid, departed)
        apply(connection, finished, decision.counts)
    if not snapshots.finish(connection, finished):
        raise LeaseLostError(f"another run closed the snapshot of OA {finished.oaid}")


def _stage(connection: Connection, oaid: str, swept: Sweep, spool: Spool) -> Difference:
    """Stage what differs, if anything does, and count it."""
    arrived, gone = spool.arrivals(), spool.missing() if swept.complete else 0
    if arrived or gone:
        stage.load(connection, arrived=spool.arrived(), gone=spool.gone() if gone else ())
    return Difference(arrived, count_returned(connection, oaid) if arrived else 0, gone)


def _decided(found: Snapshot, decision: Decision, now: datetime) -> Snapshot:
    return replace(
        found,
        status=decision.status,
        reason=decision.reason,
        counts=decision.counts,
        finished_at=now,
    )


def _recorded(engine: Engine, finished: Snapshot) -> bool:
    if finished.status is Status.RUNNING:
        return False
    try:
        with reading(limited(engine, time_limit_of(engine).longer())) as connection:
            return snapshots.recorded(connection, finished)
    except EtlError:
        return False


def _record_failure(lease: Lease, failed: Snapshot, failure: EtlError) -> Snapshot:
    """Put a failed run on record, behind the same fence, and give the lease back with it.

    Gives the snapshot; it has no id where it was taken off record again.

    Whatever goes wrong with that must not hide the failure itself: the next run finds the snapshot
    `running` and calls it abandoned.
    """
    with suppress(Exception):
        withdrawn = False
        with lease.transaction(last=True) as connection:
            snapshots.finish(connection, failed)
            lease.release(connection)
            if isinstance(failure, UnknownAccountError):
                withdrawn = snapshots.withdraw(connection, failed.oaid)
        if withdrawn:
            return replace(failed, id=None)
    return failed


def _outcome_of(
    run: Run, oaid: str, work: Callable[[Run, Snapshot], tuple[Snapshot, EtlError | None]]
) -> Outcome:
    started = time.monotonic()
    run = run.of(oaid)
    begun = run.begun(oaid)
    error: EtlError | None
    try:
        snapshot, error = work(run, begun)
    except BusyError as busy:
        snapshot, error = replace(begun, status=Status.BUSY, reason=busy.reason), busy
    except Exception as other:  # noqa: BLE001 - whatever it is, the other OAs are synced
        error = as_ours(other)
        snapshot = run.failed(begun, error)
    exit_code = error.exit_code if error else _EXIT[snapshot.status]
    return Outcome(snapshot, round(time.monotonic() - started, 3), exit_code, error)

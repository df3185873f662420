"""One run: the OAs of one or several eSMS accounts, in what order, until when, who is notified.

Needs no command line.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ParamSpec

from etl.db.catalogue import EMPTY
from etl.db.engine import connect_engine, limited
from etl.db.limits import StopSwitch, TimeLimit
from etl.db.schema import create_or_require_current, current_revision, require_current
from etl.errors import (
    EtlError,
    InterruptedRunError,
    NoDatabaseError,
    SettingsError,
    SeveralAccountsError,
    UsageError,
    as_ours,
    gravest,
)
from etl.esms.client import EsmsClient
from etl.model import Snapshot, Status, day_of
from etl.observe.announce import announced
from etl.observe.logs import closing_event, retry_event
from etl.roster import in_time, keep_names, roster
from etl.settings import ALL, missing_oaids
from etl.sync.account import preview_oa, sync_oa
from etl.sync.at_once import at_once
from etl.sync.decide import Limits
from etl.sync.run import Outcome, Run
from etl.sync.sweep import SweepLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from sqlalchemy import Engine

    from etl.observe.logs import Log
    from etl.settings import ProcessSettings, Settings
    from etl.settings.accounts import EsmsAccount

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do.

    Attributes:
        oaids: only these OAs; empty for all that are set up.
        dry_run: read everything, write nothing.
        allow_mass_unfollow: accept the mass unfollow for which the last run was held.
        unless_since: leave out OAs that were read whole by a run that began then or later.
    """

    oaids: tuple[str, ...] = ()
    dry_run: bool = False
    allow_mass_unfollow: bool = False
    unless_since: datetime | None = None

    @property
    def of_some(self) -> bool:
        """Whether it says nothing of the other OAs."""
        return bool(self.oaids) or self.unless_since is not None


def sync_esms_accounts(
    shared: ProcessSettings,
    accounts: Sequence[EsmsAccount],
    options: RunOptions,
    *,
    log: Log,
    on_page: Callable[[str, int, int, int], None],
    on_outcome: Callable[[Outcome], None],
    on_left_out: Callable[[Outcome], None],
    on_failure: Callable[[EtlError], None],
) -> int:
    """Sync the OAs of several eSMS accounts in turn, and give the gravest exit code.

    An account that cannot be synced does not keep the others from it. What all of them share
    (ETL_PING_URL and ETL_METRICS_FILE) is notified of a run of all.

    Args:
        shared: what is one for all accounts.
        accounts: each with its own keys, pace and thresholds.
        options: what to do with each.
        log: gets every retry and the closing line of each OA.
        on_page: called after every page with (oaid, look from 1, end of the page, Total), by
            several threads.
        on_outcome: called with what became of each OA, as soon as it is known.
        on_left_out: called in the end for each OA to which the run did not come, because a signal
            or the database ended it: it failed, and no snapshot is on record.
        on_failure: called with what ended the run of an account before, between or after its OAs.

    What these raise, but for on_failure, is dropped, and they are not called again: an OA is synced
    whether or not it can be shown.

    Raises:
        EtlError: a signal; nobody is synced after it.
    """
    outcomes: list[Outcome] = []
    failures: list[EtlError] = []
    # One account notifies of itself, below.
    unannounced = options.dry_run or len(accounts) == 1
    around = (
        nullcontext()
        if unannounced
        else announced(shared, log, outcomes, failures=failures, chosen=False)
    )
    with around:
        for account in accounts:
            try:
                outcomes += _sync_all(
                    account.settings,
                    options,
                    log=log,
                    on_page=on_page,
                    on_outcome=on_outcome,
                    on_left_out=on_left_out,
                )
            except InterruptedRunError:
                raise
            except Exception as raised:  # noqa: BLE001 - whatever it is, the other accounts are synced
                failures.append(as_ours(raised))
                on_failure(failures[-1])
            # Any of them: an OA that was ending as the signal came may have come last.
            if any(isinstance(each.error, InterruptedRunError) for each in outcomes):
                break
    return gravest([*(each.exit_code for each in failures), *(each.exit_code for each in outcomes)])


def _sync_all(
    settings: Settings,
    options: RunOptions,
    *,
    log: Log,
    on_page: Callable[[str, int, int, int], None],
    on_outcome: Callable[[Outcome], None],
    on_left_out: Callable[[Outcome], None],
) -> list[Outcome]:
    """Sync the OAs of one account, and give what became of each.

    One that fails does not keep the others from being synced, a signal does.

    Raises:
        EtlError: what ended the run before, between or after its OAs.
    """
    outcomes: list[Outcome] = []
    oaids = _named(settings, options)
    # Nobody is notified of a dry run: a ping for it would hide that the real one is missing.
    around = (
        nullcontext()
        if options.dry_run
        else announced(settings, log, outcomes, chosen=options.of_some)
    )
    with _left_out(settings, oaids, outcomes, _harmless(on_left_out)), around:
        close = _harmless(partial(closing_event, log))
        on_outcome = _harmless(on_outcome)
        # closing: a signal may come between two results; then the OAs that are read are ended
        # first.
        with closing(_outcomes(settings, options, log, _harmless(on_page), oaids)) as results:
            for outcome in results:
                outcomes.append(outcome)
                close(outcome)
                on_outcome(outcome)
    return outcomes


def _harmless(callback: Callable[P, None]) -> Callable[P, None]:
    """A callback that is not called again once it fails. A signal is none of its failures."""
    failed = False

    def call(*arguments: P.args, **named: P.kwargs) -> None:
        nonlocal failed
        if failed:
            return
        try:
            callback(*arguments, **named)
        except InterruptedRunError:
            raise
        except Exception:  # noqa: BLE001 - whatever goes wrong with showing something
            failed = True

    return call


def _named(settings: Settings, options: RunOptions) -> list[str]:
    """The OAs that are to be synced, as far as that is known before anybody is asked."""
    named = options.oaids or settings.esms_oaids
    return [oaid for oaid in dict.fromkeys(named) if oaid != ALL]


@contextmanager
def _left_out(
    settings: Settings,
    oaids: Sequence[str],
    outcomes: Sequence[Outcome],
    notify: Callable[[Outcome], None],
) -> Generator[None]:
    """Around a run of these OAs: in the end, notify of each that has no outcome."""
    error: EtlError | None = None
    try:
        yield
        signals = (each.error for each in outcomes if isinstance(each.error, InterruptedRunError))
        error = next(signals, None)
    except Exception as raised:
        error = as_ours(raised)
        raise
    finally:
        # Whoever asks for what cannot be done asks for no OA.
        if error is not None and not isinstance(error, SettingsError | UsageError):
            done = {each.snapshot.oaid for each in outcomes}
            for oaid in oaids:
                if oaid not in done:
                    notify(_not_begun(settings, oaid, error))


def _not_begun(settings: Settings, oaid: str, error: EtlError) -> Outcome:
    now = datetime.now(UTC)
    snapshot = Snapshot(
        None,
        oaid,
        Status.FAILED,
        taken_at=now,
        taken_on=day_of(now, settings.timezone, settings.day_begins),
        finished_at=now,
        requests=0,
        retries=0,
        reason=error.recorded,
    )
    return Outcome(snapshot, 0.0, error.exit_code, error)


def _outcomes(
    settings: Settings,
    options: RunOptions,
    log: Log,
    on_page: Callable[[str, int, int, int], None],
    oaids: list[str],
) -> Generator[Outcome]:
    """What becomes of each OA, as it becomes. `oaids` gets all of them, once they are known."""
    if not options.oaids and not settings.esms_oaids:
        raise missing_oaids()
    # For what is asked before the OAs: their names. Each OA has a deadline of its own.
    deadline = time.monotonic() + settings.max_runtime_seconds
    switch = StopSwitch()
    engine = _database(settings, switch, dry_run=options.dry_run)
    on_retry = _harmless(partial(retry_event, log))
    with EsmsClient(settings, deadline=deadline, on_retry=on_retry) as esms:
        chosen = roster(settings, options.oaids, esms, engine, unless_since=options.unless_since)
        if options.allow_mass_unfollow and not options.oaids and len(chosen.oaids) > 1:
            raise SeveralAccountsError(len(chosen.oaids))
        oaids[:] = chosen.oaids
        run = Run(
            esms,
            engine,
            _limits(settings, options),
            settings.timezone,
            settings.day_begins,
            windows=settings.etl_windows == "auto",
            max_runtime=settings.max_runtime_seconds,
            switch=switch,
            on_page=on_page,
        )

        def sync(oaid: str) -> Outcome:
            own = replace(run, limits=_limits(settings.of(oaid), options))
            outcome = (preview_oa if options.dry_run else sync_oa)(own, oaid)
            return replace(outcome, name=chosen.names.get(oaid, ""))

        def stop(signum: int) -> None:
            # The database first: whoever eSMS lets go of begins to put it on record at once.
            switch.stop(signum)
            esms.stop(signum)

        yield from at_once(sync, chosen.oaids, settings.esms_concurrency, stop=stop)
        if engine is not None and not options.dry_run and not switch.signum:
            keep_names(engine, chosen.names)  # now that those that are new are in the database


def _database(settings: Settings, switch: StopSwitch, *, dry_run: bool) -> Engine | None:
    """The database, created where it is empty; None for a dry run where there is none yet."""
    try:
        engine = connect_engine(settings.database_url, create=not dry_run)
    except NoDatabaseError:
        return None
    engine = limited(engine, TimeLimit(switch=switch))
    soon = in_time(engine)
    if not dry_run:
        create_or_require_current(soon)
    elif current_revision(soon) == EMPTY:
        return None
    else:
        require_current(soon)
    return engine


def _limits(settings: Settings, options: RunOptions) -> Limits:
    return Limits(
        SweepLimits(
            settings.esms_concurrency, settings.etl_max_looks, settings.etl_total_tolerance
        ),
        settings.etl_max_unfollow_share,
        settings.etl_unfollow_floor,
        allow_mass_unfollow=options.allow_mass_unfollow,
    )

"""`etl sync` and `accounts`: the commands that ask eSMS."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etl.cli.app import AsJson, Oaids, app, say, show_error, write_line
from etl.cli.progress import progress
from etl.errors import EtlError, InterruptedRunError, SettingsError, UsageError, gravest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from etl.esms.client import EsmsClient
    from etl.esms.pace import Retry
    from etl.settings import Settings
    from etl.sync.account import Outcome, Run


@app.command(
    epilog="Examples:\n\n    etl sync                          (what a cron line runs)\n\n"
    "    etl sync --oaid 4097311281936189049 --dry-run --json\n\n    etl sync --allow-mass-unfollow --oaid 4097311281936189049"
)
def sync(
    oaid: Oaids = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read the API and the database, write nothing at all, exit as the real run would.",
        ),
    ] = False,
    allow_mass_unfollow: Annotated[
        bool,
        typer.Option(
            "--allow-mass-unfollow",
            help="Believe what the last run held: marks at most a tenth more users than it would have. "
            "With --oaid where there are several.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read the followers of every OA from eSMS and bring the database up to date."""
    from etl.settings import sync_settings

    settings = sync_settings(need_oaids=not oaid)
    return run_sync(
        settings,
        oaid or [],
        dry_run=dry_run,
        allow_mass_unfollow=allow_mass_unfollow,
        as_json=as_json,
    )


def run_sync(
    settings: Settings,
    chosen: list[str],
    *,
    dry_run: bool,
    allow_mass_unfollow: bool,
    as_json: bool,
) -> int:
    """Sync the chosen OAs (or all that are set up) one after the other; give the gravest exit code.

    Raises:
        EtlError: what ended the run before, between or after its OAs, where people read it; in JSON it is one more line.
    """
    from contextlib import nullcontext

    from etl.observe.announce import announced
    from etl.observe.logs import configure_logging, failure_event, logger

    people = configure_logging(settings.etl_log_format, settings.etl_log_level)
    log = logger()
    outcomes: list[Outcome] = []
    unheard: OSError | None = None
    # A dry run is nobody's news: a ping for it would hide that the real one is missing.
    told = nullcontext() if dry_run else announced(settings, log, outcomes, chosen=bool(chosen))
    try:
        with told:
            for outcome in _outcomes(
                settings, chosen, log, dry_run=dry_run, allow_mass_unfollow=allow_mass_unfollow
            ):
                outcomes.append(outcome)
                try:
                    _show(log, outcome, people=people, as_json=as_json)
                except OSError as error:  # a full disk under stdout, or nobody reads it: the other OAs are synced all the same
                    as_json, unheard = False, error
    except EtlError as error:
        if people:
            raise
        failure_event(log, error)
        return error.exit_code
    if unheard is not None:
        raise unheard
    return gravest([outcome.exit_code for outcome in outcomes])


def _outcomes(
    settings: Settings,
    chosen: list[str],
    log: Any,  # noqa: ANN401 - structlog's own proxy
    *,
    dry_run: bool,
    allow_mass_unfollow: bool,
) -> Iterator[Outcome]:
    """What becomes of each OA, as it becomes."""
    from etl.esms.client import EsmsClient

    chosen = _checked(chosen)
    if not chosen and not settings.esms_oaids:
        raise SettingsError(
            ["ESMS_OAIDS is missing: set it to your OAIDs, comma-separated, or to `all`"]
        )
    engine = _engine(settings, dry_run=dry_run)
    deadline = time.monotonic() + settings.max_runtime_seconds
    with (
        progress() as draw,
        EsmsClient(settings, deadline=deadline, on_retry=partial(_told, log)) as esms,
    ):
        oaids = _oaids(settings, chosen, esms, engine, dry_run=dry_run)
        if allow_mass_unfollow and not chosen and len(oaids) > 1:
            raise UsageError(
                "--allow-mass-unfollow needs --oaid where there are several OAs: name those you mean"
            )

        def on_page(oaid: str, look: int, end: int, total: int) -> None:
            log.debug("page", oaid=oaid, look=look, end=end, total=total)
            draw(oaid, look, end, total)

        run = _run(settings, esms, engine, allow_mass_unfollow=allow_mass_unfollow, on_page=on_page)
        yield from _each(run, oaids, esms, dry_run=dry_run)


def _show(log: Any, outcome: Outcome, *, people: bool, as_json: bool) -> None:  # noqa: ANN401 - structlog's own proxy
    from etl.observe.logs import closing_event

    closing_event(
        log,
        outcome.snapshot,
        duration_s=outcome.duration_s,
        exit_code=outcome.exit_code,
        error=outcome.error,
    )
    if as_json:
        write_line(as_line(outcome))
        sys.stdout.flush()
    if people and outcome.error is not None:
        show_error(outcome.error)


def _told(log: Any, retry: Retry) -> None:  # noqa: ANN401 - structlog's own proxy
    from etl.observe.logs import retry_event

    retry_event(
        log,
        oaid=retry.oaid,
        offset=retry.offset,
        attempt=retry.attempt,
        wait_s=retry.wait,
        reason=retry.reason,
    )


def as_line(outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints of an OA: the snapshot's columns (`snapshot_id` for its id) and `duration_s`."""
    columns = outcome.snapshot.columns()
    return {"snapshot_id": columns.pop("id"), **columns, "duration_s": outcome.duration_s}


def _checked(chosen: list[str]) -> list[str]:
    """The OAs that were named, each once: one given twice is meant once."""
    from etl.settings import check_oaid

    for oaid in chosen:
        try:
            check_oaid(oaid)
        except ValueError as error:
            raise UsageError(f"--oaid: {error}") from None
    return list(dict.fromkeys(chosen))


def _engine(settings: Settings, *, dry_run: bool) -> Engine | None:
    """The database, created where it is empty; None for a dry run where there is none yet."""
    from etl.db.engine import connect_engine
    from etl.db.schema import EMPTY, create_or_require_current, current_revision, require_current
    from etl.errors import NoDatabaseError

    if not dry_run:
        engine = connect_engine(settings.database_url)
        create_or_require_current(engine)
        return engine
    try:
        engine = connect_engine(settings.database_url, create=False)
    except NoDatabaseError:
        return None
    if current_revision(engine) == EMPTY:
        return None
    require_current(engine)
    return engine


def _oaids(
    settings: Settings, chosen: list[str], esms: EsmsClient, engine: Engine | None, *, dry_run: bool
) -> list[str]:
    from etl.settings import ALL

    if chosen:
        return chosen
    if settings.esms_oaids != (ALL,):
        return list(settings.esms_oaids)
    accounts = esms.accounts()
    if not accounts:
        raise SettingsError(
            ["ESMS_OAIDS is `all`, but eSMS names no OA for this account (see `etl accounts`)"]
        )
    if engine is not None and not dry_run:
        from etl.db.accounts import name_accounts

        name_accounts(engine, accounts)
    return list(dict.fromkeys(account.oaid for account in accounts))


def _run(
    settings: Settings,
    esms: EsmsClient,
    engine: Engine | None,
    *,
    allow_mass_unfollow: bool,
    on_page: Callable[[str, int, int, int], None],
) -> Run:
    from etl.sync.account import Run
    from etl.sync.decide import Limits
    from etl.sync.sweep import SweepLimits

    limits = Limits(
        SweepLimits(
            settings.esms_concurrency, settings.etl_max_looks, settings.etl_total_tolerance
        ),
        settings.etl_max_unfollow_share,
        settings.etl_unfollow_floor,
        allow_mass_unfollow=allow_mass_unfollow,
    )
    return Run(esms, engine, limits, settings.timezone, on_page=on_page)


def _each(run: Run, oaids: list[str], esms: EsmsClient, *, dry_run: bool) -> Iterator[Outcome]:
    """One OA after the other; one that fails does not keep the others from being synced, a signal does."""
    from etl.sync.account import preview_account, sync_account

    for oaid in oaids:
        outcome = (preview_account if dry_run else sync_account)(run, oaid)
        yield outcome
        if isinstance(outcome.error, InterruptedRunError):
            esms.stop()
            return


@app.command(epilog="Example: etl accounts")
def accounts(as_json: AsJson = False) -> int:
    """List the OAs of the eSMS account, with their names, as eSMS tells them now."""
    from etl.cli.tables import show_table
    from etl.db.accounts import name_accounts
    from etl.db.engine import connect_engine
    from etl.db.schema import HEAD, current_revision
    from etl.errors import DatabaseUnreachableError, NoDatabaseError
    from etl.esms.client import EsmsClient
    from etl.settings import sync_settings

    settings = sync_settings()
    with EsmsClient(settings, deadline=time.monotonic() + settings.max_runtime_seconds) as esms:
        listed = esms.accounts()
    if as_json:
        for account in listed:
            write_line({"oaid": account.oaid, "name": account.name})
    else:
        show_table(("OAID", "name"), [(account.oaid, account.name) for account in listed])
    try:
        engine = connect_engine(settings.database_url, create=False)
        if current_revision(engine) == HEAD:
            # The OAs that are synced already get their names, so that reports can show them.
            name_accounts(engine, listed, add=False)
    except NoDatabaseError:
        pass
    except DatabaseUnreachableError as error:
        say(f"etl: the names were not stored: {error}")
    return 0

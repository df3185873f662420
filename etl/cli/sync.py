"""`etl sync`: read the followers of every OA and bring the database up to date."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli import streams
from etl.cli.answer import answer
from etl.cli.app import AsJson, Command, Oaids
from etl.cli.database import known_of
from etl.cli.output import say, say_lines, show_error, write_line
from etl.cli.progress import progress
from etl.cli.times import moment_of
from etl.cli.words import speak, words
from etl.errors import (
    ExitCode,
    InterruptedRunError,
    SeveralAccountsError,
    UsageError,
    as_ours,
    gravest,
)
from etl.model import ignore
from etl.observe.logs import (
    configure_logging,
    failure_event,
    level_of,
    logger,
    written,
)
from etl.settings import ALL, check_oaid, sync_settings
from etl.settings.accounts import EsmsAccount, esms_accounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pydantic import SecretStr

    from etl.errors import EtlError
    from etl.observe.logs import Log
    from etl.settings import ProcessSettings
    from etl.sync.run import Outcome
    from etl.texts import Texts

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="Examples:\n\n    etl sync    # what a cron line runs\n\n"
    "    etl sync --oaid 4097311281936189049 --dry-run --json\n\n"
    "    etl sync --allow-mass-unfollow --oaid 4097311281936189049",
)
def sync(
    oaid: Oaids = None,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            metavar="NAME",
            help="Sync the eSMS account of this directory in ETL_ACCOUNTS_DIR, with its own keys and settings; "
            "all: every account there.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read the API and the database, write nothing, and exit as the real run would.",
        ),
    ] = False,
    allow_mass_unfollow: Annotated[
        bool,
        typer.Option(
            "--allow-mass-unfollow",
            help="Accept a mass unfollow like the one for which the last run was held, at most a tenth larger. "
            "Needs --oaid where there are several OAs.",
        ),
    ] = False,
    unless_since: Annotated[
        str | None,
        typer.Option(
            "--unless-since",
            metavar="TIME",
            help="Leave out OAs that a run read whole which began at this time or later: 2026-10-15T23:40:00+07:00.",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Log the record of each OA with all its fields, too."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read the followers of every OA from eSMS and bring the database up to date."""
    since = moment_of("--unless-since", unless_since)
    for each in oaid or ():
        try:
            check_oaid(each)
        except ValueError as error:
            raise UsageError(f"--oaid: {error}") from None
    if account == ALL and (oaid or allow_mass_unfollow):
        raise UsageError("--oaid and --allow-mass-unfollow are for one account: name it")
    shared: ProcessSettings
    if account is None:
        shared = settings = sync_settings(need_oaids=not oaid)
        accounts = [EsmsAccount("", settings)]
    else:
        shared, accounts = esms_accounts(account)
    code = _run_sync(
        shared,
        accounts,
        oaid or [],
        dry_run=dry_run,
        allow_mass_unfollow=allow_mass_unfollow,
        unless_since=since,
        verbose=verbose,
        as_json=as_json,
    )
    if dry_run and not as_json:
        say(words()("sync.dry_run"))
    return code


def _run_sync(
    shared: ProcessSettings,
    accounts: list[EsmsAccount],
    chosen: list[str],
    *,
    dry_run: bool,
    allow_mass_unfollow: bool,
    unless_since: datetime | None = None,
    verbose: bool = False,
    as_json: bool,
) -> int:
    """Sync the chosen OAs, or all that are set up; show each outcome; give the gravest exit code.

    People get a sentence for each OA; its record is for `verbose`, and for whoever reads JSON.
    What ended the run before, between or after its OAs is said as the log is: to people, or in one
    more line of JSON.
    """
    from etl import runs  # noqa: PLC0415 - most of the start-up: what is wrong with the settings is said without it

    texts = speak(shared)
    people = configure_logging(
        shared.etl_log_format, shared.etl_log_level, zone=shared.timezone, records=verbose
    )
    log = logger()
    url = (accounts[0].settings if len(accounts) == 1 else shared).database_url
    report = partial(_report, log=log, people=people)
    sentences = _Output(partial(_answer, url=url, texts=texts, dry_run=dry_run), report)
    lines = _Output(_print_line, report)

    def show(outcome: Outcome) -> None:
        if people:
            sentences.show(outcome)
        if as_json:
            lines.show(outcome)

    def fail(error: EtlError) -> None:
        _report(_by_option(error), log, people=people)

    options = runs.RunOptions(
        tuple(chosen),
        dry_run=dry_run,
        allow_mass_unfollow=allow_mass_unfollow,
        unless_since=unless_since,
    )
    try:
        with progress() as draw:

            def on_page(oaid: str, look: int, end: int, total: int) -> None:
                log.debug("page", oaid=oaid, look=look, end=end, total=total)
                draw(texts("sync.progress", oaid=oaid, look=look), end, total)

            code = runs.sync_esms_accounts(
                shared,
                accounts,
                options,
                log=log,
                on_page=on_page,
                on_outcome=show,
                on_left_out=lines.show if as_json else ignore,
                on_failure=fail,
            )
    except Exception as raised:  # noqa: BLE001 - whatever it is goes where the log goes
        return _report(as_ours(raised), log, people=people)
    return gravest([code, sentences.code or ExitCode.OK, lines.code or ExitCode.OK])


def _answer(outcome: Outcome, url: SecretStr, texts: Texts, *, dry_run: bool) -> None:
    """A sentence for people, where ETL_LOG_LEVEL lets it through."""
    if not written(level_of(outcome.snapshot.status)):
        return
    lines = answer(outcome, known_of(url, outcome.snapshot), texts)
    if dry_run:
        lines = [texts("sync.would", sentence=lines[0]), *lines[1:]]
    say_lines(lines)


class _Output:
    """What is shown of each OA: nothing more after one that could not be shown.

    `code` is what that one is to exit with; None as long as all goes well.
    """

    def __init__(self, write: Callable[[Outcome], None], report: Callable[[EtlError], int]) -> None:
        self.code: int | None = None
        self._write = write
        self._report = report

    def show(self, outcome: Outcome) -> None:
        if self.code is not None:
            return
        try:
            self._write(outcome)
        except BrokenPipeError:
            # Nobody reads the lines: what became of the OAs counts.
            self.code = ExitCode.OK
        except InterruptedRunError:
            raise
        except Exception as error:  # noqa: BLE001 - the other OAs are synced all the same
            self.code = self._report(as_ours(error))


def _print_line(outcome: Outcome) -> None:
    with streams.writing():
        write_line({**outcome.snapshot.row(), "duration_s": outcome.duration_s})


def _report(error: EtlError, log: Log, *, people: bool) -> int:
    """Say what is no OA's trouble, to people or in one more line of the log; give its exit code."""
    if people:
        show_error(error)
    else:
        failure_event(log, error)
    return error.exit_code


def _by_option(error: EtlError) -> EtlError:
    """The error in the words of the command line."""
    if isinstance(error, SeveralAccountsError):
        return UsageError(
            "--allow-mass-unfollow needs --oaid where there are several OAs: name those you mean"
        )
    return error

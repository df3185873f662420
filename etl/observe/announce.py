"""Who hears of a run of `etl sync` beside the log: a metrics file and a ping, if set up.

Neither can fail the run.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from etl.db.engine import connect_engine, limited
from etl.db.limits import TimeLimit
from etl.errors import EtlError, ExitCode, gravest
from etl.observe.ping import Pings, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from etl.observe.logs import Log
    from etl.settings import ProcessSettings
    from etl.sync.run import Outcome


@contextmanager
def announced(
    settings: ProcessSettings,
    log: Log,
    outcomes: Sequence[Outcome],
    *,
    failures: Sequence[EtlError] = (),
    chosen: bool,
) -> Iterator[None]:
    """Around a run: say that it begins, and in the end what became of it, an error too.

    Args:
        settings: ETL_PING_URL and ETL_METRICS_FILE; where both are missing, nothing is done.
        log: for what could not be told.
        outcomes: of the OAs, as the run adds them.
        failures: of whole eSMS accounts, as the run adds them.
        chosen: whether it is a run of some OAs, which says nothing of the others.
    """
    pings = Pings(settings.etl_ping_url, log)
    finish = partial(_finish, settings, log, pings, outcomes)
    try:
        pings.start()
        yield
    except EtlError as error:
        finish(exit_code=error.exit_code, reason=error.reason, keep_others=True)
        raise
    except BaseException as error:
        finish(exit_code=ExitCode.FAULT, reason=type(error).__name__, keep_others=True)
        raise
    code = gravest([*(each.exit_code for each in failures), *(each.exit_code for each in outcomes)])
    reason = next((each.reason for each in failures if each.exit_code == code), None)
    some = chosen or bool(failures) or code >= ExitCode.SIGNALLED
    finish(exit_code=code, reason=reason, keep_others=some)


def _finish(
    settings: ProcessSettings,
    log: Log,
    pings: Pings,
    outcomes: Sequence[Outcome],
    *,
    exit_code: int,
    reason: str | None,
    keep_others: bool,
) -> None:
    if settings.etl_metrics_file is not None:
        with _harmless(log, "metrics not written", file=str(settings.etl_metrics_file)):
            _write_metrics(
                settings.etl_metrics_file,
                settings,
                outcomes,
                exit_code=exit_code,
                keep_others=keep_others,
            )
    if settings.etl_ping_url is not None:
        with _harmless(log, "ping failed"):
            pings.finish(exit_code, summary(outcomes, exit_code=exit_code, reason=reason))


def _write_metrics(
    path: Path,
    settings: ProcessSettings,
    outcomes: Sequence[Outcome],
    *,
    exit_code: int,
    keep_others: bool,
) -> None:
    from etl.observe.metrics import update_file  # noqa: PLC0415 - prometheus_client, for who has a metrics file only

    # After a signal the process has seconds to end.
    limit = TimeLimit().at_most(2 if exit_code >= ExitCode.SIGNALLED else 30)

    def connect() -> Engine:
        return limited(connect_engine(settings.database_url, create=False), limit)

    update_file(
        path,
        outcomes,
        exit_code=exit_code,
        now=datetime.now(UTC),
        keep_others=keep_others,
        connect=connect,
    )


@contextmanager
def _harmless(log: Log, event: str, **fields: str) -> Iterator[None]:
    """Whatever goes wrong in there is a warning: the sync itself is done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above; an error's words are told only where they are the system's
        words = error.strerror or str(error) if isinstance(error, OSError) else type(error).__name__
        log.warning(event, **fields, reason=words)

"""A worker of the fleet: takes jobs, until it is stopped or the database is gone."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from etl.errors import DatabaseUnreachableError, InterruptedRunError
from etl.fleet.engine import connector, require_tables, translated
from etl.fleet.tasks import HOUSEKEEPING, JOBS, Fleet, fleet_app

if TYPE_CHECKING:
    from procrastinate import App
    from pydantic import SecretStr

    from etl.observe.logs import Log

LONGEST_POLL = 5.0
"""Seconds between two looks for a job; nobody is notified, so that a transaction-pooling pgbouncer
may sit between."""


def work(url: SecretStr, fleet: Fleet, *, concurrency: int) -> None:
    """Take jobs until SIGTERM or Ctrl-C.

    The jobs that run then are stopped, and are free for others at once.

    Raises:
        InterruptedRunError: it was stopped.
        SettingsError: the database is no PostgreSQL, or the tables of jobs are missing or another
            version's.
        DatabaseUnreachableError: the database is gone.
    """
    require_tables(url)
    _listen_to_libraries(fleet.log)
    patience = fleet.silence.patience
    app = fleet_app(connector(url, connections=concurrency + 4, patience=patience), fleet)
    with translated():
        signum = asyncio.run(_work(app, fleet, concurrency))
    if signum is None:
        raise DatabaseUnreachableError("the database failed while jobs were waited for")
    raise InterruptedRunError(signum)


async def _work(app: App, fleet: Fleet, concurrency: int) -> int | None:
    """The signal that ended it; None where a worker ended by itself."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(signum: int) -> None:
        if not stopped.done():
            stopped.set_result(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop, signum)
    async with app.open_async():
        workers = [
            asyncio.create_task(_worker(app, fleet, JOBS, concurrency)),
            asyncio.create_task(_worker(app, fleet, HOUSEKEEPING, 1)),
        ]
        fleet.log.info("fleet worker started", concurrency=concurrency, schedule=fleet.at)
        waited: list[asyncio.Future[Any]] = [*workers, stopped]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            worker.cancel()
        ended = await asyncio.gather(*workers, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not stopped.done():
            raise error
    return stopped.result() if stopped.done() else None


async def _worker(app: App, fleet: Fleet, queue: str, concurrency: int) -> None:
    silence = fleet.silence
    await app.run_worker_async(
        queues=[queue],
        name=queue,
        concurrency=concurrency,
        listen_notify=False,
        install_signal_handlers=False,
        fetch_job_polling_interval=min(LONGEST_POLL, silence.heartbeat),
        update_heartbeat_interval=silence.heartbeat,
        stalled_worker_timeout=silence.taken_over,
        shutdown_graceful_timeout=0,
        delete_jobs="successful" if queue == HOUSEKEEPING else "never",
    )


class _ToOurs(logging.Handler):
    """Passes what libraries log to our log, as debugging: jobs' ends are logged in our words."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self._log.debug(record.name, message=record.getMessage())


def _listen_to_libraries(log: Log) -> None:
    for name in ("procrastinate", "psycopg", "asyncio"):
        library = logging.getLogger(name)
        library.handlers, library.propagate = [_ToOurs(log)], False

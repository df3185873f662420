"""The fleet's tasks: every night a job for each eSMS account.

A job runs `etl sync --account` as a process.

night       defers the jobs of a night, all at once; each night once, however many workers
sync        one account, under a lock of its name; acts by the exit code of the process
outcome     does nothing: its arguments are the record of how a job ended
takeover    gives the jobs of workers that are silent to others
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from procrastinate import App, BaseRetryStrategy, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status

from etl.errors import ExitCode
from etl.fleet.schedule import cron_lines, is_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from procrastinate import PsycopgConnector
    from procrastinate.jobs import Job

    from etl.observe.logs import Log

JOBS = "etl"
"""The queue of the accounts' jobs."""

HOUSEKEEPING = "etl-housekeeping"
"""The queue of what must not wait behind them."""

SYNC, OUTCOME, NIGHT, TAKEOVER = "etl.sync", "etl.outcome", "etl.night", "etl.takeover"

PASSING = (ExitCode.UNREACHABLE, ExitCode.TRY_LATER)
"""Exit codes of a sync that may be another one later."""

TRIES_MORE = 3

WAIT = timedelta(minutes=15)
"""Before a sync is tried again."""

LATE_SECONDS = 6 * 3600
"""A night that no worker was there for is made up for within so long."""

KEPT_HOURS = 40 * 24
"""How long ended jobs are kept."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a worker may be silent (seconds) before its jobs are taken over, and what follows.

    A job's process must have stopped by then: it waits for a third of it, and stops within ten
    seconds.
    """

    taken_over: float = 60.0

    @property
    def heartbeat(self) -> float:
        """Between two signs of life of a worker in the database."""
        return self.taken_over / 6

    @property
    def patience(self) -> float:
        """For a connection, before a worker takes the database for gone, and stops its jobs."""
        return self.taken_over / 4

    @property
    def process(self) -> float:
        """After which a job's process stops itself."""
        return self.taken_over / 3

    @property
    def beat(self) -> float:
        """Between two bytes for a job's process."""
        return self.taken_over / 20


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the tasks need to know.

    Attributes:
        at: ETL_FLEET_SCHEDULE, in `zone`.
        zone: ETL_TIMEZONE.
        silence: when jobs are taken over.
        accounts: gives the names of the eSMS accounts.
        log: hears of every job.
    """

    at: str
    zone: ZoneInfo
    silence: Silence
    accounts: Callable[[], list[str]]
    log: Log


class SyncFailedError(Exception):
    """A sync ended with a code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class Again(BaseRetryStrategy):
    """Whether a job is tried again.

    If it was stopped with its worker, at once; after an exit code that may pass, later, and three
    times at most.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """As procrastinate asks."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_at=datetime.now(UTC))
        may_pass = isinstance(exception, SyncFailedError) and exception.code in PASSING
        if may_pass and job.attempts < TRIES_MORE:
            return RetryDecision(retry_at=datetime.now(UTC) + WAIT)
        return None


def fleet_app(connector: PsycopgConnector, fleet: Fleet) -> App:
    """Procrastinate's app with our tasks."""
    app = App(connector=connector, periodic_defaults={"max_delay": LATE_SECONDS})
    app.task(name=SYNC, queue=JOBS, retry=Again(), pass_context=False)(
        _partial_task(_sync, app, fleet)
    )
    app.task(name=OUTCOME, queue=JOBS)(_nothing)
    night = app.task(name=NIGHT, queue=HOUSEKEEPING)(_partial_task(_night, app, fleet))
    for line in cron_lines(fleet.at, fleet.zone, datetime.now(UTC)):
        app.periodic(cron=line, periodic_id=f"{fleet.at} {line}")(night)
    every = max(1, min(30, int(fleet.silence.taken_over / 2)))
    takeover = app.task(name=TAKEOVER, queue=HOUSEKEEPING, queueing_lock=TAKEOVER)(
        _partial_task(_takeover, app, fleet)
    )
    app.periodic(cron=f"* * * * * */{every}")(takeover)
    return app


def _partial_task(task: Callable[..., Any], app: App, fleet: Fleet) -> Callable[..., Any]:
    """A coroutine function, which procrastinate wants to see, with what a task needs to know."""
    known = partial(task, app, fleet)

    async def call(**arguments: Any) -> None:  # noqa: ANN401 - whatever the job was deferred with
        await known(**arguments)

    return call


async def _nothing(**_: Any) -> None:  # noqa: ANN401 - its arguments are what it is for
    """A record, and no work."""


async def _night(app: App, fleet: Fleet, timestamp: int) -> None:
    """Defer a job for each account that has none of this night, and none that has not ended yet."""
    if not is_moment(fleet.at, fleet.zone, datetime.fromtimestamp(timestamp, UTC)):
        return  # the cron line of the other half of the year
    known = await app.job_manager.list_jobs_async(task=SYNC)
    open_ = {Status.TODO.value, Status.DOING.value}
    taken = {
        job.task_kwargs["account"]
        for job in known
        if job.task_kwargs.get("night") == timestamp or job.status in open_
    }
    names = [name for name in fleet.accounts() if name not in taken]
    jobs = [
        app.configure_task(SYNC, lock=f"etl:{name}").make_new_job(account=name, night=timestamp)
        for name in names
    ]
    if jobs:  # one statement: all of them or none
        await app.job_manager.batch_defer_jobs_async(jobs)
    fleet.log.info("night", accounts=len(jobs), still_waiting=len(taken))
    await app.job_manager.delete_old_jobs(
        KEPT_HOURS, queue=JOBS, include_failed=True, include_cancelled=True, include_aborted=True
    )


async def _takeover(app: App, fleet: Fleet, timestamp: int) -> None:  # noqa: ARG001 - procrastinate gives it
    for queue in (JOBS, HOUSEKEEPING):
        stalled = await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=fleet.silence.taken_over
        )
        for job in stalled:
            if job.task_name == TAKEOVER:
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
                continue
            try:
                await app.job_manager.retry_job(job)
            except ConnectorException:
                continue  # it ended meanwhile
            fleet.log.warning("job taken over", job=job.id, **job.task_kwargs)


async def _sync(app: App, fleet: Fleet, account: str, night: int) -> None:
    code = await _run_process(
        # What was read whole this night before the worker was killed, or a try failed, is left out.
        [
            "sync",
            "--account",
            account,
            "--unless-since",
            datetime.fromtimestamp(night, UTC).isoformat(),
        ],
        silence=fleet.silence,
        log=fleet.log,
        account=account,
    )
    await app.configure_task(OUTCOME).defer_async(
        account=account,
        night=night,
        exit_code=code,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    say = fleet.log.info if code == ExitCode.OK else fleet.log.warning
    say("job ended", account=account, exit_code=code)
    if code != ExitCode.OK:
        raise SyncFailedError(code)


async def _run_process(arguments: list[str], *, silence: Silence, log: Log, account: str) -> int:
    """Run `etl` as a process until it ends; a stop of ours stops it first.

    Returns:
        its exit code, by the shell's convention where a signal ended it.
    """
    command = [sys.executable, "-P", "-m", "etl.fleet.child", str(silence.process), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    log.info("job started", account=account, pid=process.pid)
    beaten = time.time()
    try:
        while True:
            try:
                code = await asyncio.wait_for(process.wait(), silence.beat)
            except TimeoutError:
                _still_ours(beaten, silence)
                beaten = time.time()
                _beat(process)
            else:
                _still_ours(beaten, silence)
                return code if code >= 0 else ExitCode.SIGNALLED - code
    except asyncio.CancelledError:
        await _stop(process)
        raise


def _beat(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.write(b".")


def _still_ours(beaten: float, silence: Silence) -> None:
    """End this worker if it was paused for so long that it has lost its jobs.

    It ends here and now, and writes nothing about them.
    """
    if time.time() - beaten > silence.taken_over / 2:
        os._exit(ExitCode.TRY_LATER)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 12)
        except TimeoutError:
            process.kill()
            await process.wait()

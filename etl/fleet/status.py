"""What became of each account of the fleet, and when it is synced next."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from procrastinate import App
from procrastinate.jobs import Status

from etl.errors import ExitCode
from etl.fleet.engine import connector, require_tables, translated
from etl.fleet.schedule import moments
from etl.fleet.tasks import JOBS, OUTCOME, PASSING, SYNC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from procrastinate.jobs import Job
    from pydantic import SecretStr

PATIENCE = 10.0


class State(StrEnum):
    """What an account's newest job is."""

    NONE = "none"
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    """For a person: no further try."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """One account.

    Attributes:
        account: its name.
        state: of its newest job.
        exit_code: of the last process that ended; None where none has.
        finished_at: when that was.
        attempts: how often its newest job was begun.
        next_run_at: when it is tried again, or synced next.
    """

    account: str
    state: State
    exit_code: int | None
    finished_at: datetime | None
    attempts: int
    next_run_at: datetime | None


def fleet_status(
    url: SecretStr, accounts: Sequence[str], *, at: str, zone: ZoneInfo, now: datetime
) -> list[AccountState]:
    """The state of each account.

    Raises:
        SettingsError: the database is no PostgreSQL, or the tables of jobs are missing or another
            version's.
        DatabaseUnreachableError: the database cannot be read.
    """
    require_tables(url)
    app = App(connector=connector(url, connections=1, patience=PATIENCE))
    with translated():
        jobs = asyncio.run(_jobs(app))
    following = next(moments(at, zone, now))
    names = dict.fromkeys([*accounts, *(str(job.task_kwargs["account"]) for job in jobs)])
    return [_account_state(name, jobs, following) for name in names]


async def _jobs(app: App) -> list[Job]:
    async with app.open_async():
        jobs = await app.job_manager.list_jobs_async(queue=JOBS)
    return [job for job in jobs if job.task_name in {SYNC, OUTCOME}]


def _account_state(name: str, jobs: Sequence[Job], following: datetime) -> AccountState:
    """What the jobs say of one account. `following`: the next moment of the schedule."""
    own = [job for job in jobs if job.task_kwargs["account"] == name]
    last = max((job for job in own if job.task_name == SYNC), key=_number, default=None)
    ended = max((job for job in own if job.task_name == OUTCOME), key=_number, default=None)
    code = int(str(ended.task_kwargs["exit_code"])) if ended else None
    finished = datetime.fromisoformat(str(ended.task_kwargs["finished_at"])) if ended else None
    state = _state(last)
    due = last.scheduled_at if last and state is State.WAITING else None
    next_run = None if state is State.RUNNING else (due or following)
    if state is State.WAITING and due is None:
        next_run = datetime.now(UTC)
    return AccountState(name, state, code, finished, last.attempts if last else 0, next_run)


def _number(job: Job) -> int:
    return job.id or 0


def _state(job: Job | None) -> State:
    if job is None:
        return State.NONE
    return {
        Status.TODO.value: State.WAITING,
        Status.DOING.value: State.RUNNING,
        Status.SUCCEEDED.value: State.COMPLETE,
    }.get(str(job.status), State.FAILED)


def words(state: AccountState) -> str:
    """What became of it, for people."""
    if state.state is State.NONE:
        return "no job yet"
    if state.state is State.WAITING and state.exit_code in PASSING:
        return f"exit code {state.exit_code}, is tried again"
    if state.state is State.FAILED and state.exit_code not in {None, ExitCode.OK}:
        return f"failed, exit code {state.exit_code}"
    return str(state.state)

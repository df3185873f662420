"""How long the questions of docs/sql-cookbook.md, and `etl status`, take.

Where there are many OAs, many users and many nights.

    python benchmarks/questions.py                1,000 OAs x 5,000 users x 400 days, both databases
    python benchmarks/questions.py --oas 100 --database sqlite
    python benchmarks/questions.py --keep many.db SQLite alone; the file stays, for your own

The databases make the data by themselves: everything follows from a user's number by arithmetic
that both do alike. A third of the users are the baseline; two in five of all leave, and some of
those return. Of 34 nights one was read in part, failed, or is missing. Each answer is read to its
end and thrown away; a query that takes longer than --limit seconds is given up. PostgreSQL's
memory is as delivered: an analyst's session sets none.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import BigInteger, Column, Date, MetaData, Table, Text, insert, text

from etl.db.engine import connect_engine, writing
from etl.db.schema import create_or_require_current
from etl.db.tables import Utc

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from cookbook import recipes
from run import postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

LAST_DAY = date(2026, 11, 24)
BAD_EVERY = 34
"""Of so many nights the last one is not read whole."""

VIEW = "The daily view, whole"
STATUS = "etl status"

NIGHTS = Table(
    "bench_nights",
    MetaData(),
    Column("night", BigInteger, comment="counted from 1"),
    Column("good", BigInteger, comment="the same, of those read whole; NULL of the others"),
    Column("kind", Text),
    Column("taken_on", Date),
    Column("taken_at", Utc),
    prefixes=["TEMPORARY"],
)

_CHANGES = """
    WITH RECURSIVE oas(i) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM oas WHERE i < :oas),
    users(u) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT u + 1 FROM users WHERE u < :users),
    steps(j) AS (
        SELECT CAST(0 AS BIGINT) UNION ALL SELECT j + 1 FROM steps WHERE j < 3),
    members AS (
        SELECT i, (i * (:users + 1) + u) * 2654435761 % 4294967291 AS hash FROM oas CROSS JOIN users),
    stories AS (
        SELECT i, hash, CASE WHEN hash % 100 < 33 THEN 1 ELSE 2 + hash / 128 % (:good - 1) END AS began,
               CASE WHEN hash / 16384 % 100 < 55 THEN 0 WHEN hash / 16384 % 100 < 90 THEN 1
                    WHEN hash / 16384 % 100 < 97 THEN 2 ELSE 3 END AS later
        FROM members),
    placed AS (
        SELECT i, hash, j, began + CASE WHEN j = 0 THEN 0 ELSE (j - 1) * 9 + 1 + hash / 512 % 8 END AS good
        FROM stories JOIN steps ON j <= later)
    INSERT INTO follower_changes (oaid, user_id, snapshot_id, change, changed_at)
    SELECT CAST(4097311281936000000 + p.i AS TEXT), CAST(4000000000000000000 + p.hash * 1048573 AS TEXT),
           (n.night - 1) * :oas + p.i,
           CASE WHEN p.j % 2 = 1 THEN 'unfollowed' WHEN p.j > 0 THEN 'refollowed'
                WHEN p.good = 1 THEN 'baseline' ELSE 'followed' END,
           n.taken_at
    FROM placed AS p JOIN bench_nights AS n ON n.good = p.good  -- none after the last night
    ORDER BY 1, 2, 3
"""

_SNAPSHOTS = """
    WITH RECURSIVE oas(i) AS (
        SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM oas WHERE i < :oas),
    counts AS (
        SELECT snapshot_id, sum(CASE change WHEN 'baseline' THEN 1 ELSE 0 END) AS baseline,
               sum(CASE change WHEN 'followed' THEN 1 ELSE 0 END) AS followed,
               sum(CASE change WHEN 'refollowed' THEN 1 ELSE 0 END) AS refollowed,
               sum(CASE change WHEN 'unfollowed' THEN 1 ELSE 0 END) AS unfollowed
        FROM follower_changes GROUP BY snapshot_id),
    told AS (
        SELECT (n.night - 1) * :oas + o.i AS id, CAST(4097311281936000000 + o.i AS TEXT) AS oaid, n.kind,
               n.taken_at, n.taken_on, coalesce(c.baseline, 0) AS baseline, coalesce(c.followed, 0) AS followed,
               coalesce(c.refollowed, 0) AS refollowed, coalesce(c.unfollowed, 0) AS unfollowed
        FROM oas AS o CROSS JOIN bench_nights AS n
        LEFT JOIN counts AS c ON c.snapshot_id = (n.night - 1) * :oas + o.i
        WHERE n.kind <> 'missing')
    INSERT INTO snapshots (id, oaid, status, taken_at, taken_on, finished_at, baseline, followed, refollowed,
                           unfollowed, following, reason)
    SELECT id, oaid, kind, taken_at, taken_on, taken_at, baseline, followed, refollowed, unfollowed,
           sum(baseline + followed + refollowed - unfollowed) OVER (PARTITION BY oaid ORDER BY id),
           CASE kind WHEN 'partial' THEN 'torn' WHEN 'failed' THEN 'unreachable: no answer' END
    FROM told ORDER BY id
"""

_FOLLOWERS = """
    INSERT INTO followers (oaid, user_id, first_seen_at, followed_at, unfollowed_at)
    SELECT oaid, user_id, min(changed_at), max(CASE WHEN change <> 'unfollowed' THEN changed_at END),
           CASE WHEN count(*) % 2 = 0 THEN max(changed_at) END
    FROM follower_changes GROUP BY oaid, user_id ORDER BY oaid, user_id
"""

_ACCOUNTS = """
    INSERT INTO official_accounts (oaid, name, created_at)
    SELECT oaid, 'OA ' || oaid, min(taken_at) FROM snapshots GROUP BY oaid
"""


def nights(days: int) -> Iterator[dict[str, Any]]:
    """The nights, each begun at 23:40 in Viet Nam and up to twenty minutes later."""
    good = 0
    for night in range(1, days + 1):
        day = LAST_DAY - timedelta(days=days - night)
        kind = "complete"
        if night % BAD_EVERY == 0:
            kind = ("partial", "failed", "missing")[night // BAD_EVERY % 3]
        good += kind == "complete"
        begun = datetime(day.year, day.month, day.day, 16, 40, tzinfo=UTC)
        yield {
            "night": night,
            "good": good if kind == "complete" else None,
            "kind": kind,
            "taken_on": day,
            "taken_at": begun + timedelta(seconds=night * 7919 % 1200),
        }


def make(url: str, *, oas: int, users: int, days: int) -> dict[str, int]:
    """Make the data in an empty database; give how many rows each table has."""
    engine = connect_engine(url)
    create_or_require_current(engine)
    rows = list(nights(days))
    numbers = {"oas": oas, "users": users, "good": sum(row["good"] is not None for row in rows)}
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL work_mem = '256MB'"))
        NIGHTS.create(connection)
        connection.execute(insert(NIGHTS), rows)
        for statement in (_CHANGES, _SNAPSHOTS, _FOLLOWERS, _ACCOUNTS):
            _execute(connection, statement, numbers)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
        tables = ("official_accounts", "snapshots", "followers", "follower_changes")
        counted = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in tables
        }
    engine.dispose()
    return counted


def _execute(connection: Connection, statement: str, numbers: dict[str, int]) -> None:
    used = {name: value for name, value in numbers.items() if f":{name}" in statement}
    connection.execute(text(statement), used)


def questions(dialect: str) -> dict[str, str]:
    """The queries of the cookbook, by heading, and the view itself."""
    found = {heading: each.get("") or each[dialect] for heading, each in recipes().items()}
    return found | {VIEW: "SELECT * FROM daily_follower_churn"}


def timed(ask: Callable[[], tuple[int, float]]) -> str:
    """How long an answer takes by the clock and in CPU seconds, and how many rows it has."""
    begun = time.monotonic()
    try:
        rows, cpu = ask()
    except (sqlite3.OperationalError, psycopg.errors.QueryCanceled):
        return f"> {time.monotonic() - begun:.0f} s"
    return f"{time.monotonic() - begun:.1f} s, CPU {cpu:.1f} s, {rows:,} rows"


def on_sqlite(path: str, sql: str, limit: float) -> tuple[int, float]:
    """Read an answer to its end."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
    alarm = threading.Timer(limit, connection.interrupt)
    alarm.start()
    before = time.process_time()
    try:
        rows = sum(1 for _ in connection.execute(sql))
    finally:
        alarm.cancel()
        connection.close()
    return rows, time.process_time() - before


def on_postgresql(url: str, sql: str, limit: float) -> tuple[int, float]:
    """The same; the rows as text, so that no client's making of objects is measured."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {int(limit * 1000)}".encode())
        query = sql.strip().rstrip(";")
        before = server_cpu(connection.info.backend_pid)
        with cursor.copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
            rows = sum(bytes(chunk).count(b"\n") for chunk in copy)
        return rows, server_cpu(connection.info.backend_pid) - before


def server_cpu(backend: int) -> float:
    """CPU seconds of a session, and of the parallel workers that it waited for (Linux)."""
    fields = _stat(backend)
    workers = _stat(int(fields[3]))
    ticks = sum(map(int, [*fields[13:15], *workers[15:17]]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[str]:
    """`/proc/PID/stat`, its second field without blanks."""
    told = Path(f"/proc/{process}/stat").read_text()
    return [str(process), "-", *told.rpartition(") ")[2].split()]


def status(url: str) -> tuple[int, float]:
    """`etl status`, a process of its own."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    command = [sys.executable, "-m", "etl", "status", "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout.count(b"\n"), cpu


def measure(url: str, limit: float, only: str) -> dict[str, str]:
    """Every question once; the tables were just written, so they are in memory."""
    dialect = url.partition(":")[0]
    ask, where = (
        (on_sqlite, url.removeprefix("sqlite:///")) if dialect == "sqlite" else (on_postgresql, url)
    )
    found = {}
    for heading, sql in questions(dialect).items():
        if only.lower() not in heading.lower():
            continue
        found[heading] = timed(lambda sql=sql: ask(where, sql, limit))  # type: ignore[misc]  # its default binds the query of this turn
        print(f"    {dialect:10} {heading:52} {found[heading]}", flush=True)
    found[STATUS] = timed(lambda: status(url))
    print(f"    {dialect:10} {STATUS:52} {found[STATUS]}", flush=True)
    return found


def main() -> None:
    """Make the data in each database, ask, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--oas", type=int, default=1_000)
    parser.add_argument("--users", type=int, default=5_000, help="of each OA, who ever followed")
    parser.add_argument("--days", type=int, default=400, help="at least 35")
    parser.add_argument("--limit", type=float, default=60, help="seconds a query may take")
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    parser.add_argument("--only", default="", help="questions with these letters in their heading")
    parser.add_argument("--keep", type=Path, help="make this SQLite file, and keep it")
    asked = parser.parse_args()
    results = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="q")))
        for kind in ["sqlite"] if asked.keep else asked.database or ["sqlite", "postgresql"]:
            file = asked.keep or home / "many.db"
            url = f"sqlite:///{file}" if kind == "sqlite" else stack.enter_context(postgresql(home))
            begun = time.monotonic()
            rows = make(url, oas=asked.oas, users=asked.users, days=asked.days)
            made = ", ".join(f"{count:,} {name}" for name, count in rows.items())
            print(f"{kind}: {made}; made in {time.monotonic() - begun:.0f} s", flush=True)
            results[kind] = measure(url, asked.limit, asked.only)
            if kind == "sqlite" and not asked.keep:
                file.unlink()
    print(f"\n| | {' | '.join(results)} |\n|---|{'--:|' * len(results)}")
    for heading in next(iter(results.values())):
        print(f"| {heading} | {' | '.join(found[heading] for found in results.values())} |")


if __name__ == "__main__":
    main()

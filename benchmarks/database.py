"""The database alone.

The identifiers at hand and in order, our own tables, one bulk load and one diff in one transaction.

python database.py DATABASE_URL USERS_FILE SNAPSHOT_ID    (`etl db upgrade` made the tables)
"""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg

OAID = "4097311281936189049"

# The least that keeps `followers` and its change log: who came, who went, and nothing that proves
# anything.
CAME = """INSERT INTO follower_changes (oaid, user_id, snapshot_id, change, changed_at)
          SELECT {oaid}, s.user_id, {id}, 'followed', {now} FROM bench_staged AS s
          LEFT JOIN followers AS f ON f.oaid = {oaid} AND f.user_id = s.user_id
          WHERE f.user_id IS NULL OR f.unfollowed_at IS NOT NULL"""
WENT = """INSERT INTO follower_changes (oaid, user_id, snapshot_id, change, changed_at)
          SELECT {oaid}, f.user_id, {id}, 'unfollowed', {now} FROM followers AS f
          WHERE f.oaid = {oaid} AND f.unfollowed_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM bench_staged AS s WHERE s.user_id = f.user_id)"""
RETIRE = """UPDATE followers SET unfollowed_at = {now} WHERE oaid = {oaid} AND user_id IN (
            SELECT user_id FROM follower_changes WHERE oaid = {oaid} AND snapshot_id = {id} AND change = 'unfollowed')"""
UPSERT = """INSERT INTO followers (oaid, user_id, first_seen_at, followed_at)
            SELECT {oaid}, user_id, {now}, {now} FROM follower_changes
            WHERE oaid = {oaid} AND snapshot_id = {id} AND change = 'followed'
            ON CONFLICT (oaid, user_id) DO UPDATE SET followed_at = excluded.followed_at, unfollowed_at = NULL"""


def main(url: str, users_file: str, snapshot_id: int) -> None:
    """Bring the tables up to date once."""
    now = datetime.now(UTC).isoformat(sep=" ", timespec="microseconds")
    if url.startswith("sqlite"):
        sqlite(url.removeprefix("sqlite:///"), Path(users_file), statements(now, snapshot_id))
    else:
        postgresql(url, Path(users_file), statements(now, snapshot_id))


def statements(now: str, snapshot_id: int) -> list[str]:
    """The diff and its projection."""
    values = {"oaid": f"'{OAID}'", "id": snapshot_id, "now": f"'{now}'"}
    return [sql.format(**values) for sql in (CAME, WENT, RETIRE, UPSERT)]


def sqlite(path: str, users: Path, diff: list[str]) -> None:
    """In SQLite."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TEMP TABLE bench_staged (user_id TEXT PRIMARY KEY) WITHOUT ROWID")
    with users.open() as lines:
        connection.executemany(
            "INSERT INTO bench_staged VALUES (?)", ((line.rstrip("\n"),) for line in lines)
        )
    for sql in diff:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.close()


def postgresql(url: str, users: Path, diff: list[str]) -> None:
    """In PostgreSQL."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '256MB'")
        cursor.execute('CREATE TEMP TABLE bench_staged (user_id text COLLATE "C") ON COMMIT DROP')
        with cursor.copy("COPY bench_staged FROM STDIN") as copy, users.open("rb") as file:
            while chunk := file.read(2**18):
                copy.write(chunk)
        cursor.execute("ANALYZE bench_staged")
        for sql in diff:
            cursor.execute(sql.encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

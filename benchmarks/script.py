"""The script that everyone writes: requests, one page after the other, executemany.

It believes whatever comes back.

python script.py URL DATABASE_URL PAGE_SIZE
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import requests

OAID = "4097311281936189049"
UPSERT = """INSERT INTO simple_followers (oaid, user_id, followed_at, seen_at) VALUES ({0}, {0}, {0}, {0})
            ON CONFLICT (oaid, user_id) DO UPDATE SET unfollowed_at = NULL, seen_at = {0}"""
RETIRE = "UPDATE simple_followers SET unfollowed_at = {0} WHERE oaid = {0} AND seen_at < {0} AND unfollowed_at IS NULL"
TABLE = """CREATE TABLE IF NOT EXISTS simple_followers (oaid TEXT, user_id TEXT, followed_at TEXT, seen_at TEXT,
           unfollowed_at TEXT, PRIMARY KEY (oaid, user_id))"""


def main(url: str, database: str, size: int, keys: tuple[str, str] = ("k", "s")) -> None:
    """Sync once."""
    now = datetime.now(UTC).isoformat()
    session = requests.Session()
    users: list[str] = []
    while True:
        body = {
            "ApiKey": keys[0],
            "SecretKey": keys[1],
            "OAID": OAID,
            "Offset": len(users),
            "Count": size,
        }
        answer = session.post(url + "/ZNS/GetFollowers/", json=body, timeout=30).json()
        users += [follower["User_Id"] for follower in answer["Followers"]]
        if not answer["Followers"] or len(users) >= answer["Total"]:
            break
    if database.startswith("sqlite"):
        import sqlite3  # noqa: PLC0415 - it is measured as a script that is written for one database

        connection, mark = sqlite3.connect(database.removeprefix("sqlite:///")), "?"
    else:
        import psycopg  # noqa: PLC0415 - as above

        connection, mark = psycopg.connect(database), "%s"  # type: ignore[assignment]  # two drivers, one shape
    with connection:
        cursor = connection.cursor()
        cursor.execute(TABLE)
        cursor.executemany(UPSERT.format(mark), [(OAID, user, now, now, now) for user in users])
        cursor.execute(RETIRE.format(mark), (now, OAID, now))
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

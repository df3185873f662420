"""Whether the tables agree: what `etl verify` asks, one statement a question for all OAs.

The third of the laws (docs/design.md#the-five-laws).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.errors import ContradictionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection


CHUNK = 10_000
"""Contradicting rows in memory at once, where they are only counted."""

NAMED = 10
"""Rows of a question that are named, unless more are asked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """What contradicts the history: a user's rows, a snapshot, or a change (both)."""

    user_id: str | None
    snapshot_id: int | None

    def __str__(self) -> str:
        """Name it for a person."""
        of = [self.user_id] if self.user_id is not None else []
        of += [f"snapshot {self.snapshot_id}"] if self.snapshot_id is not None else []
        return " in ".join(of)


@dataclass(frozen=True, slots=True)
class Finding:
    """One question asked of one OA.

    Attributes:
        contradictions: how many rows contradict the history (0: all is well).
        rows: which, as many as were asked for.
        note: what looks wrong and is not.
    """

    oaid: str
    check: str
    contradictions: int
    rows: tuple[Row, ...] = ()
    note: str = ""


_HERE = "oaid BETWEEN :first AND :last"
"""The OAs that are asked about lie between these two: an index finds one OA, or all, alike."""

_HISTORY = f"""
    SELECT oaid, user_id, snapshot_id, change, changed_at,
           lag(change) OVER log AS before, lead(change) OVER log AS next,
           lead(change, 2) OVER log AS next_but_one
    FROM follower_changes WHERE {_HERE}
    WINDOW log AS (PARTITION BY oaid, user_id ORDER BY snapshot_id)
"""
"""One window in the order of the primary key: nothing has to be sorted."""

_PROJECTION = f"""
    SELECT oaid, user_id,
           min(CASE WHEN before IS NULL THEN changed_at END) AS first_seen_at,
           min(CASE WHEN next IS NULL AND change <> 'unfollowed'
                      OR next = 'unfollowed' AND next_but_one IS NULL
                    THEN changed_at END) AS followed_at,
           min(CASE WHEN next IS NULL AND change = 'unfollowed' THEN changed_at END)
               AS unfollowed_at
    FROM ({_HISTORY}) AS told
    GROUP BY oaid, user_id
"""

_IN_ORDER = f"""
    SELECT oaid, id, following, baseline + followed + refollowed - unfollowed AS change,
           coalesce(lag(following) OVER (PARTITION BY oaid ORDER BY id), 0) AS before,
           coalesce(lag(following) OVER (PARTITION BY oaid ORDER BY taken_at, id), 0)
               AS before_in_time
    FROM snapshots WHERE {_HERE} AND status IN ('complete', 'partial')
"""

_OVERTAKEN = f"""
    SELECT oaid, id FROM (
        SELECT oaid, id, taken_at,
               min(taken_at) OVER (PARTITION BY oaid ORDER BY id
                                   ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS later
        FROM snapshots WHERE {_HERE}) AS told
    WHERE later < taken_at
"""
"""Snapshots that were taken after one with a larger id: numbers were given from behind, or a clock
was set back."""

_NUMBERED_FROM_BEHIND = f"""
    SELECT oaid FROM ({_IN_ORDER}) AS told
    GROUP BY oaid
    HAVING sum(CASE WHEN following <> before + change THEN 1 ELSE 0 END) > 0
       AND sum(CASE WHEN following IS NULL OR following <> before_in_time + change
                    THEN 1 ELSE 0 END) = 0
"""
"""The OAs whose counts follow from each other in the order of time, and not in that of the ids. A
clock that was set back leaves them in the order of the ids."""

IN_TIME = "the snapshots' ids follow their times"

# Each gives the rows that contradict it: an OA, and a User_Id, a snapshot's id, or both.
_CHECKS = {
    "followers is what follower_changes adds up to": f"""
        SELECT log.oaid, log.user_id, NULL AS snapshot_id FROM ({_PROJECTION}) AS log
        LEFT JOIN followers AS f ON f.oaid = log.oaid AND f.user_id = log.user_id
        WHERE f.user_id IS NULL OR f.first_seen_at <> log.first_seen_at
           OR f.followed_at <> log.followed_at
           OR (f.unfollowed_at IS NULL) <> (log.unfollowed_at IS NULL)
           OR f.unfollowed_at <> log.unfollowed_at
        UNION ALL
        SELECT f.oaid, f.user_id, NULL FROM followers AS f WHERE f.{_HERE} AND NOT EXISTS (
            SELECT 1 FROM follower_changes AS c WHERE c.oaid = f.oaid AND c.user_id = f.user_id)""",
    "a user's changes alternate, and begin with baseline or followed": f"""
        SELECT oaid, user_id, snapshot_id FROM ({_HISTORY}) AS told
        WHERE NOT CASE change
                  WHEN 'unfollowed'
                  THEN coalesce(before, '') IN ('baseline', 'followed', 'refollowed')
                  WHEN 'refollowed' THEN coalesce(before, '') = 'unfollowed'
                  ELSE before IS NULL END""",
    "every change belongs to an applied snapshot of its OA, at its time": f"""
        SELECT c.oaid, c.user_id, c.snapshot_id FROM follower_changes AS c
        LEFT JOIN snapshots AS s ON s.id = c.snapshot_id AND s.oaid = c.oaid
                                AND s.status IN ('complete', 'partial')
                                AND s.taken_at = c.changed_at
        WHERE c.{_HERE} AND s.id IS NULL""",
    "each applied snapshot's counts are its changes": f"""
        SELECT s.oaid, NULL AS user_id, s.id AS snapshot_id FROM snapshots AS s
        LEFT JOIN (SELECT oaid, snapshot_id,
                          sum(CASE change WHEN 'baseline' THEN 1 ELSE 0 END) AS baseline,
                          sum(CASE change WHEN 'followed' THEN 1 ELSE 0 END) AS followed,
                          sum(CASE change WHEN 'refollowed' THEN 1 ELSE 0 END) AS refollowed,
                          sum(CASE change WHEN 'unfollowed' THEN 1 ELSE 0 END) AS unfollowed
                   FROM follower_changes WHERE {_HERE} GROUP BY oaid, snapshot_id) AS c
          ON c.oaid = s.oaid AND c.snapshot_id = s.id
        WHERE s.{_HERE} AND s.status IN ('complete', 'partial')
          AND (s.baseline <> coalesce(c.baseline, 0) OR s.followed <> coalesce(c.followed, 0)
            OR s.refollowed <> coalesce(c.refollowed, 0)
            OR s.unfollowed <> coalesce(c.unfollowed, 0)
            OR s.baseline IS NULL OR s.followed IS NULL
            OR s.refollowed IS NULL OR s.unfollowed IS NULL)""",
    "each applied snapshot's following continues the one before": f"""
        SELECT oaid, NULL AS user_id, id AS snapshot_id FROM ({_IN_ORDER}) AS told
        WHERE following IS NULL OR following <> before + change""",
    "the last applied snapshot's following is how many follow": f"""
        SELECT oaid, NULL AS user_id, max(id) AS snapshot_id FROM (
            SELECT oaid, id, coalesce(following, 0) AS recorded, 0 AS counted
            FROM (SELECT oaid, id, following,
                         row_number() OVER (PARTITION BY oaid ORDER BY id DESC) AS nth_last
                  FROM snapshots WHERE {_HERE} AND status IN ('complete', 'partial')) AS told
            WHERE nth_last = 1
            UNION ALL
            SELECT oaid, NULL, 0, count(*) FROM followers
            WHERE {_HERE} AND unfollowed_at IS NULL GROUP BY oaid) AS both_counts
        GROUP BY oaid
        HAVING sum(counted) <> sum(recorded)""",
    "a partial snapshot marked nobody as unfollowed": f"""
        SELECT oaid, NULL AS user_id, id AS snapshot_id FROM snapshots
        WHERE {_HERE} AND status = 'partial' AND unfollowed <> 0""",
    IN_TIME: f"""
        SELECT oaid, NULL AS user_id, id AS snapshot_id FROM ({_OVERTAKEN}) AS told
        WHERE oaid IN ({_NUMBERED_FROM_BEHIND})""",
}

_OAIDS = """
    SELECT oaid FROM official_accounts UNION SELECT DISTINCT oaid FROM snapshots
    UNION SELECT DISTINCT oaid FROM followers
    UNION SELECT DISTINCT oaid FROM follower_changes ORDER BY oaid"""


def oaids(connection: Connection) -> list[str]:
    """Every OA that any table knows."""
    return [row[0] for row in connection.execute(text(_OAIDS))]


def require_sound(connection: Connection) -> None:
    """Refuse a SQLite file that is damaged where no question below would look.

    PostgreSQL keeps its own checksums.

    Raises:
        ContradictionError: pages of it hold what they cannot.
    """
    if connection.dialect.name != "sqlite":
        return
    found = str(connection.execute(text("PRAGMA quick_check(1)")).scalar_one())
    if found != "ok":
        raise ContradictionError(f"the database file is damaged: {found.splitlines()[-1]}")


def check(
    connection: Connection, asked: Sequence[str], *, named: int | None = NAMED
) -> Iterator[Finding]:
    """Ask every question of some OAs: as many statements for a thousand OAs as for one.

    The answers are read side by side, so that only one OA's contradictions are in memory.

    Args:
        connection: that the statements run on.
        asked: the OAs.
        named: how many contradicting rows a question names at most; None for all of them.

    Yields:
        One finding a question, OA by OA in the order of the OAIDs.
    """
    if not asked:
        return
    between = {"first": min(asked), "last": max(asked)}
    set_back = _set_back(connection, between)
    answers = [_ask(connection, name, between, named) for name in _CHECKS]
    torn = heapq.merge(*answers, key=attrgetter("oaid"))
    by_oaid = groupby(torn, key=attrgetter("oaid"))
    oaid, found = next(by_oaid, _NOTHING)
    for each in sorted(set(asked)):
        while oaid is not None and oaid < each:  # between the first and the last, but not asked
            oaid, found = next(by_oaid, _NOTHING)
        here = {finding.check: finding for finding in found} if oaid == each else {}
        for name in _CHECKS:
            note = _clock(set_back.get(each, []), named) if name == IN_TIME else ""
            yield here.get(name) or Finding(each, name, 0, note=note)


_NOTHING: tuple[str | None, Iterator[Finding]] = (None, iter(()))


def _ask(
    connection: Connection, name: str, between: dict[str, str], named: int | None
) -> Iterator[Finding]:
    """The OAs that contradict one question, in the order of their OAIDs."""
    statement = text(
        f"SELECT * FROM ({_CHECKS[name]}) AS found ORDER BY oaid, snapshot_id, user_id"
    )
    answer = connection.execute(statement, between, execution_options={"yield_per": CHUNK})
    for oaid, found in groupby(answer, key=attrgetter("oaid")):
        count, rows = 0, []
        for row in found:
            count += 1
            if named is None or count <= named:
                rows.append(Row(row.user_id, row.snapshot_id))
        yield Finding(oaid, name, count, tuple(rows))


def _set_back(connection: Connection, between: dict[str, str]) -> dict[str, list[str]]:
    """The snapshots, by OA, that are dated later than one after them."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(text(f"{_OVERTAKEN} ORDER BY oaid, id"), between):
        found.setdefault(row.oaid, []).append(str(row.id))
    return found


def _clock(ids: Sequence[str], named: int | None) -> str:
    """Say where a clock was set back: the order of the ids is the true one."""
    if not ids:
        return ""
    more = ", …" if named is not None and len(ids) > named else ""
    return (
        f"dated later than one after it: snapshot {', '.join(ids[:named])}{more}. "
        "The clock was set back; the order of the ids counts"
    )

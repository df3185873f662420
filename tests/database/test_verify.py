"""`etl verify` asks about all OAs at once, and answers OA by OA."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from histories import Reading, write_history
from sqlalchemy import event, text

from etl.db.engine import reading, writing
from etl.maintenance.verify import Finding, check

if TYPE_CHECKING:
    from sqlalchemy import Engine

OAIDS = [str(number) for number in range(1, 8)]


def seven_oas(db: Engine) -> None:
    """Seven OAs, each read on two days."""
    days = ((date(2026, 10, 1), {"a", "b"}), (date(2026, 10, 2), {"b", "c"}))
    readings = [
        Reading(oaid, f"{day} 23:40", "complete", frozenset(seen), None)
        for oaid in OAIDS
        for day, seen in days
    ]
    write_history(db, readings, dict.fromkeys(OAIDS, ""))


def found(db: Engine, oaids: list[str]) -> list[Finding]:
    with reading(db) as connection:
        return list(check(connection, oaids))


def test_seven_oas_take_as_many_statements_as_two(db: Engine) -> None:
    seven_oas(db)
    statements: list[str] = []
    event.listen(db, "before_cursor_execute", lambda *given: statements.append(given[2]))
    asked = []
    for oaids in (OAIDS[:2], OAIDS):
        statements.clear()
        findings = found(db, oaids)
        assert {finding.oaid for finding in findings} == set(oaids)
        assert not any(finding.contradictions for finding in findings)
        asked.append(len(statements))
    assert asked[0] == asked[1] <= 12


def test_each_oa_is_told_its_own_rows_and_an_oa_between_them_is_not_asked(db: Engine) -> None:
    seven_oas(db)
    with writing(db) as connection:
        for oaid, user in (("2", "a"), ("4", "b"), ("4", "c"), ("6", "b")):
            connection.execute(
                text("DELETE FROM followers WHERE oaid = :oaid AND user_id = :user"),
                {"oaid": oaid, "user": user},
            )
    findings = found(db, ["6", "1", "4", "3"])
    checks = len(findings) // 4
    assert [each.oaid for each in findings] == [
        oaid for oaid in ("1", "3", "4", "6") for _ in range(checks)
    ]
    torn = [each for each in findings if each.contradictions]
    assert [(each.oaid, [row.user_id for row in each.rows]) for each in torn] == [
        ("4", ["b", "c"]),
        ("4", [None]),
        ("6", ["b"]),
        ("6", [None]),
    ]


def test_nobody_is_asked_about_where_there_is_no_oa(db: Engine) -> None:
    assert found(db, []) == []

"""What people see: on real terminals of 80 and 200 columns, in English and in Vietnamese."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from commandline import HURRY, etl
from sqlalchemy import update
from terminal import etl_on_terminal

from etl.db.engine import connect_engine, writing
from etl.db.tables import snapshots
from etl.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST = HURRY | {"ESMS_MAX_ATTEMPTS": "1"}
NAME = "Simulated OA"
"""As eSMS names it, and as a sync therefore does."""


class TerminalUser:
    """Somebody at a terminal, with one OA and one database."""

    def __init__(self, sim: Simulator, url: str, home: Path) -> None:
        self.sim, self.url, self.home = sim, url, home

    def settings(self, **settings: str) -> dict[str, str]:
        return self.sim.environment | FAST | {"DATABASE_URL": self.url} | settings

    def see(self, *arguments: str, columns: int = 80, **settings: str) -> str:
        """What stands on the terminal, folded lines put together again; no line was too wide."""
        lines = etl_on_terminal(columns, *arguments, cwd=self.home, **self.settings(**settings))
        assert [line for line in lines if len(line) > columns] == []
        return re.sub(r"\n +", " ", "\n".join(lines))

    def sync(self, **settings: str) -> None:
        etl("sync", **self.settings(**settings))

    def day_passes(self) -> None:
        """All that is on record happened a day earlier."""
        day = timedelta(days=1)
        with writing(connect_engine(self.url)) as connection:
            for row in connection.execute(snapshots.select()).all():
                moved = {
                    each: getattr(row, each) - day
                    for each in ("taken_at", "finished_at", "taken_on")
                }
                connection.execute(update(snapshots).where(snapshots.c.id == row.id).values(moved))


@pytest.fixture
def person(sqlite_url: str, tmp_path: Path) -> Iterator[TerminalUser]:
    with Simulator(1_200) as sim:
        yield TerminalUser(sim, sqlite_url, tmp_path)


@pytest.fixture
def lived(person: TerminalUser) -> TerminalUser:
    """One night was read whole, yesterday."""
    person.sync()
    person.day_passes()
    return person


# -- a sentence for each OA ------------------------------------------------------------------------


def test_the_first_sync_says_how_many_follow_and_that_they_are_the_baseline(
    person: TerminalUser,
) -> None:
    seen = person.see("sync")
    assert (
        f"{NAME}: 1,200 followers, the baseline: changes are counted from now on. Complete." in seen
    )
    assert "snapshot_id" not in seen


def test_a_night_is_a_sentence_with_the_name_and_what_changed_since_yesterday(
    lived: TerminalUser,
) -> None:
    for _ in range(3):
        lived.sim.follow()
    lived.sim.unfollow()
    seen = lived.see("sync")
    assert f"{NAME}: 1,202 followers, 3 new, 1 left since yesterday. Complete." in seen
    assert "{" not in seen
    assert "=" not in seen


def test_verbose_shows_the_record_too(lived: TerminalUser) -> None:
    seen = lived.see("sync", "--verbose")
    assert "exit_code=0" in seen
    assert "Complete." in seen


def test_one_follower_is_one_follower(sqlite_url: str, tmp_path: Path) -> None:
    with Simulator(1) as sim:
        seen = TerminalUser(sim, sqlite_url, tmp_path).see("sync")
    assert "1 follower, the baseline" in seen


def test_a_dry_run_says_what_would_be_and_that_nothing_was_written(lived: TerminalUser) -> None:
    seen = lived.see("sync", "--dry-run")
    assert f"Would be: {NAME}: 1,200 followers" in seen
    assert "Dry run: nothing was written." in seen


def test_a_held_night_says_what_to_do_with_a_command_that_can_be_copied(
    lived: TerminalUser,
) -> None:
    for user in lived.sim.users()[:600]:
        lived.sim.unfollow(user)
    seen = lived.see("sync")
    assert f"{NAME}: 600 of 1,200 followers are not in the list. Held: nothing was changed." in seen
    assert f"etl sync --oaid {lived.sim.default} --allow-mass-unfollow" in seen


def test_a_partial_night_says_how_many_of_how_many_can_be_seen(lived: TerminalUser) -> None:
    lived.sim.max_offset = 500
    lived.sim.unfollow(lived.sim.users()[-1])
    seen = lived.see("sync")
    assert re.search(rf"{NAME}: \d+ of 1,199 followers can be seen", seen)
    assert "nobody was marked as unfollowed" in seen
    assert "eSMS does not show more of this list." in seen


def test_a_failed_night_says_why_and_what_to_do(lived: TerminalUser) -> None:
    seen = lived.see("sync", ESMS_SECRET_KEY="wrong")
    assert "code 101" in seen
    assert "Failed: nothing was changed." in seen
    assert "Check ESMS_API_KEY" in seen


def test_cron_mails_sentences_and_nothing_while_all_is_well(lived: TerminalUser) -> None:
    quiet = {"ETL_LOG_LEVEL": "warning", "ETL_LOG_FORMAT": "console"}
    assert etl("sync", **lived.settings(**quiet)).stderr == ""
    lived.sim.fault_rate("nobody", 1)
    mail = etl("sync", **lived.settings(**quiet)).stderr
    assert mail.startswith(f"{NAME}: the list is empty")
    assert "{" not in mail


def test_undo_as_a_dry_run_says_that_nothing_was_written(lived: TerminalUser) -> None:
    seen = lived.see("undo", "1", "--dry-run")
    assert "1,200 baseline" in seen
    assert "Dry run: nothing was written." in seen
    assert "+07" in seen


def test_a_sync_answers_in_vietnamese_by_the_setting_or_the_locale(lived: TerminalUser) -> None:
    for name, value in (("ETL_LANG", "vi"), ("LANG", "vi_VN.UTF-8")):
        seen = lived.see("sync", columns=80, **{name: value})
        assert f"{NAME}: 1.200 người quan tâm, 0 quan tâm mới, 0 bỏ quan tâm so với" in seen


def test_the_doctor_and_what_is_missing_are_said_in_the_language_of_the_env_file(
    person: TerminalUser,
) -> None:
    (person.home / ".env").write_text("ETL_LANG=vi\n")
    seen = person.see("doctor", DATABASE_URL="sqlite:///f.db")
    assert "ổn       eSMS: khóa: được chấp nhận" in seen
    assert f"OA {person.sim.default}: Total: là 1200, và danh sách hết ở đó" in seen
    assert "etl: 0 lỗi, 1 cần xem" in seen
    english = etl("doctor", "--json", **person.settings(ETL_LANG="vi")).stdout
    assert '"told": "says 1200, and the list ends there"' in english
    lines = etl_on_terminal(80, "sync", cwd=person.home)
    assert lines[0].startswith("etl: thiếu ESMS_OAIDS: hãy đặt nó trong biến môi trường")
    assert any(line.startswith("     thiếu ESMS_SECRET_KEY: ") for line in lines)
    assert all(len(line) <= 80 for line in lines)


# -- listings --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TerminalUser]:
    """Thirty OAs with long names, one of which was never read whole; a held, a partial and a failed
    night. Its tests only read."""
    home = tmp_path_factory.mktemp("agency")
    with Simulator(1_200) as sim:
        person = TerminalUser(sim, f"sqlite:///{home / 'followers.db'}", home)
        person.sync()
        person.day_passes()
        for number in range(29):
            name = f"Cửa hàng số {number} trên đường Nguyễn Trãi, thành phố Hồ Chí Minh"
            sim.add_account(f"4097311281936{number:06d}", name, 3 + number)
        person.sync(ESMS_OAIDS="all")
        for fault in ("nobody", "total:1900", "http_503"):
            sim.fault_rate(fault, 1)
            person.sync()
            sim.calm()
        yield person


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("command", ["status", "history", "verify", "report"])
def test_a_listing_of_thirty_oas_fits_the_terminal(
    agency: TerminalUser, command: str, columns: int
) -> None:
    agency.see(command, columns=columns, ESMS_OAIDS="all")


def test_a_report_of_thirty_oas_compares_them_by_their_names_and_has_a_total(
    agency: TerminalUser,
) -> None:
    settings = agency.settings(ESMS_OAIDS="all")
    lines = etl_on_terminal(80, "report", "--lang", "vi", cwd=agency.home, **settings)
    table = "\n".join(lines).partition("So sánh các OA")[2].partition("\n\n")[0].splitlines()
    assert sum("Cửa hàng số" in line for line in table) == 29
    total = next(line for line in table if line.startswith("  Tổng cộng"))
    assert f"{1_200 + sum(range(3, 32)):,}".replace(",", ".") in total


def test_status_has_trouble_first_and_a_total(agency: TerminalUser) -> None:
    lines = agency.see("status", columns=200, ESMS_OAIDS="all").splitlines()
    assert lines[2].startswith(NAME)
    assert "Since then: " in lines[2]
    assert lines[-1].startswith("Total of 30 OAs")
    assert re.search(rf"{1_200 + sum(range(3, 32)):,}", lines[-1])


@pytest.mark.parametrize("columns", [80, 200])
def test_history_shows_total_seen_and_gap_and_has_each_reason_in_words(
    agency: TerminalUser, columns: int
) -> None:
    seen = agency.see("history", "--oaid", agency.sim.default, columns=columns)
    header = seen.splitlines()[0]
    assert "Total" in header
    assert "seen" in header
    assert "gap" in header
    assert "taken (+07)" in header
    assert "ceiling: eSMS does not show more of this list." in seen
    assert "1,200 would have been marked as unfollowed." in seen
    assert "unreachable: eSMS answered HTTP 503" in seen

"""`etl report --format html -o DIR/`: an index of many OAs that sorts, and a page for each; in a
real headless Chromium."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import time_machine
from browser import Browser, Page, find_chromium
from commandline import Finished, etl
from histories import Expected, Reading, write_history
from terminal import etl_on_terminal

from etl.db.engine import connect_engine
from etl.db.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, YOUNG, CUT, NEVER = (f"409731128193618905{number}" for number in range(4))
NAMES = {
    OLD: "<b>Trà sữa</b> & bánh",
    YOUNG: '=HYPERLINK("http://x.example")',
    CUT: "\x1b[2JCut",
    NEVER: "Never",
}
END = date(2026, 11, 24)
USERS = [f"user-{number:04}" for number in range(2000)]


def nights(oaid: str, count: int, leave: int, come: int, begin: int = 500) -> list[Reading]:
    """So many leave and come each night, to END."""
    readings = []
    for number in range(count):
        day = END - timedelta(days=count - 1 - number)
        seen = frozenset(USERS[leave * number : begin + come * number])
        readings.append(Reading(oaid, f"{day} 23:40", "complete", seen))
    return readings


HISTORY = sorted(
    [
        *nights(OLD, 100, leave=2, come=3),
        *nights(YOUNG, 10, leave=1, come=2, begin=40),
        Reading(CUT, "2026-11-23 23:40", "partial", frozenset(USERS[:54]), "ceiling"),
        Reading(NEVER, "2026-11-24 23:50", "failed", reason="refused: code 101"),
    ],
    key=lambda each: each.local,
)


@dataclass
class FourOas:
    """A database with the four OAs."""

    url: str

    def report(self, *arguments: str) -> Finished:
        with time_machine.travel(datetime(2026, 11, 25, 5, tzinfo=UTC), tick=False):
            return etl("report", "--format", "html", *arguments, DATABASE_URL=self.url)


@pytest.fixture(scope="module")
def four_oas(tmp_path_factory: pytest.TempPathFactory) -> FourOas:
    url = f"sqlite:///{tmp_path_factory.mktemp('many')}/followers.db"
    engine = connect_engine(url)
    upgrade(engine)
    write_history(engine, HISTORY, NAMES)
    return FourOas(url)


@pytest.fixture(scope="module")
def folder(four_oas: FourOas, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made") / "pages"
    done = four_oas.report("-o", f"{place}/")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"OA {NEVER} has no complete or partial snapshot yet" in done.stderr
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(find_chromium()) as started:
        yield started


@pytest.fixture
def index(browser: Browser, folder: Path) -> Page:
    return browser.open(folder / "index.html")


def rows(page: Page, part: str = "tbody") -> list[list[str]]:
    script = f"[...document.querySelectorAll('#index {part} tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    found: list[list[str]] = page.evaluate(script)
    return found


def test_a_row_an_oa_says_what_its_readings_add_up_to(index: Page) -> None:
    expected = Expected(HISTORY, OLD)
    window = [at for at, each in enumerate(expected.applied) if each.day > END - timedelta(days=30)]
    start = len(expected.after[window[0] - 1])
    new = sum(len(expected.followed(at)) for at in window)
    left = sum(len(expected.gone(at)) for at in window)
    old, young, cut, never = rows(index)
    assert old[:7] == [
        NAMES[OLD], f"{100 * left / start:.1f}%", str(len(expected.after[-1])), str(new), str(left), "30/30",
        "24 Nov 2026 23:40",
    ]  # fmt: skip
    assert young[1:6] == ["–, since 15 Nov 2026", "49", "18", "9", "10/10"]
    assert (*cut[2:7], cut[8]) == ("54", "–", "–", "0/2", "–", "never read whole; no run")
    assert never[2:] == ["–", "–", "–", "–", "–", "", "nothing was read in this time"]
    total = rows(index, "tfoot")[0]
    following = len(expected.after[-1]) + 49 + 54
    assert total[:5] == [
        "All OAs", old[1], str(following), str(new + 18), str(left + 9),
    ]  # fmt: skip


def test_an_oa_with_something_to_look_at_is_marked_beside_its_name(index: Page) -> None:
    """What it is stands in the last column, beyond the edge of a phone."""
    marked = index.evaluate(
        "[...document.querySelectorAll('#index tbody tr')].filter(row => "
        "getComputedStyle(row.cells[0], '::before').content.includes('⚠')).map(row => row.cells[0].innerText)"
    )
    assert marked == [row[0] for row in rows(index) if row[8]] == [NAMES[CUT], NAMES[NEVER]]


def test_the_index_leads_to_a_page_an_oa_and_back(
    browser: Browser, folder: Path, index: Page
) -> None:
    links = index.evaluate(
        "[...document.querySelectorAll('#index a')].map(a => a.getAttribute('href'))"
    )
    assert links == [f"{oaid}.html" for oaid in (OLD, YOUNG, CUT)]
    assert sorted(each.name for each in folder.iterdir()) == sorted(["index.html", *links])
    page = browser.open(folder / links[0])
    assert page.evaluate("document.querySelector('h2').innerText") == NAMES[OLD]
    assert page.evaluate("document.querySelector('nav a').getAttribute('href')") == "index.html"


@pytest.mark.parametrize("column", [1, 2, 6])
def test_a_header_sorts_by_its_numbers_and_what_is_not_known_is_last(
    index: Page, column: int
) -> None:
    click = f"document.querySelectorAll('#index thead button')[{column}].click()"
    names = {
        1: [NAMES[OLD]],
        2: [NAMES[OLD], NAMES[CUT], NAMES[YOUNG]],
        6: [NAMES[OLD], NAMES[YOUNG]],
    }[column]
    index.evaluate(click)
    down = [row[0] for row in rows(index)]
    index.evaluate(click)
    up = [row[0] for row in rows(index)]
    assert down[: len(names)] == names
    if column == 2:
        assert up[: len(names)] == names[::-1]
    assert down[-1] == up[-1] == "Never"
    sorted_by = "document.querySelector('#index th[aria-sort]').getAttribute('aria-sort')"
    assert index.evaluate(sorted_by) == "ascending"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_index_fits_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, folder: Path, width: int, *, dark: bool
) -> None:
    opened = browser.open(folder / "index.html", width=width, dark=dark)
    assert (opened.requests, opened.complaints) == ([], [])
    assert opened.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    assert opened.evaluate("document.querySelectorAll('#index b').length") == 0


def test_a_second_report_takes_the_place_of_the_first(four_oas: FourOas, tmp_path: Path) -> None:
    place = tmp_path / "pages"
    four_oas.report("-o", f"{place}/")
    before = {each.name: each.read_bytes() for each in place.iterdir()}
    done = four_oas.report("-o", f"{place}/", "--lang", "vi")
    assert done.returncode == 0
    after = {each.name: each.read_bytes() for each in place.iterdir()}
    assert before.keys() == after.keys()
    assert not [name for name in before if before[name] == after[name]]


# -- bad input -------------------------------------------------------------------------------------


def _a_file(place: Path) -> None:
    place.write_text("kept")


def _pages_of_others(place: Path) -> None:
    place.mkdir()
    (place / "999.html").write_text('<meta name="generator" content="follower-etl report">')


def _a_site_of_its_own(place: Path) -> None:
    place.mkdir()
    (place / "index.html").write_text("<h1>Our shop</h1>")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_a_file, "is a file, not a directory"),
        (_pages_of_others, "holds pages of OAs that are not in this report: 999.html"),
        (_a_site_of_its_own, "not made by etl report: index.html"),
    ],
    ids=["a file", "pages of others", "a site of its own"],
)
def test_a_directory_that_is_not_ours_stays_as_it_was(
    four_oas: FourOas, tmp_path: Path, prepare: Callable[[Path], None], words: str
) -> None:
    place = tmp_path / "pages"
    prepare(place)
    before = _everything(tmp_path)
    done = four_oas.report("-o", f"{place}/")
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert _everything(tmp_path) == before


def _everything(place: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in place.rglob("*") if each.is_file()}


def test_a_directory_without_a_parent_is_told(four_oas: FourOas, tmp_path: Path) -> None:
    done = four_oas.report("-o", f"{tmp_path}/missing/pages/")
    assert done.returncode == 2
    assert "there is no directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
    four_oas: FourOas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the report was made")

    monkeypatch.setattr("etl.cli.report.churn_report", asked)
    done = four_oas.report("-o", "/proc/pages/")
    assert done.returncode == 2
    assert done.stderr.startswith("etl: -o /proc/pages/: ")
    assert "Traceback" not in done.stderr


def test_only_html_writes_a_directory(four_oas: FourOas, tmp_path: Path) -> None:
    done = four_oas.report("--format", "csv", "-o", f"{tmp_path}/pages/")
    assert (done.returncode, "only --format html writes a directory" in done.stderr) == (2, True)


# -- users, and terminals --------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["html", "table", "json"])
def test_without_users_no_user_is_named(four_oas: FourOas, output: str) -> None:
    named = four_oas.report("--format", output, "--oaid", OLD)
    unnamed = four_oas.report("--format", output, "--oaid", OLD, "--no-users")
    assert "user-0" in named.stdout
    assert unnamed.returncode == 0
    assert "user-" not in unnamed.stdout
    assert "Who left last" not in unnamed.stdout


def test_a_page_is_not_poured_into_a_terminal(four_oas: FourOas, tmp_path: Path) -> None:
    shown = "\n".join(
        etl_on_terminal(100, "report", "--format", "html", cwd=tmp_path, DATABASE_URL=four_oas.url)
    )
    assert "needs a file: -o report.html" in shown
    assert "<html" not in shown

"""The page of `etl report --format html` in a real headless Chromium: what it shows, asks for, and
complains of."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from browser import Browser, Page, find_chromium
from commandline import etl
from histories import Reading, write_history
from sqlalchemy import text

from etl.db.engine import connect_engine, reading
from etl.db.schema import upgrade
from etl.reports import charts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = "4097311281936189049", "4097311281936189050"
NAMES = {
    A: "<script>window.stolen = 1</script><img src=x onerror=alert(1)>",
    B: "Mì & bún " + "w" * 80,
}
ALL = [f"user-{number:04}" for number in range(2000)]


def history() -> list[Reading]:
    """Two months: three arrive a day, fewer leave, five return; a partial, a held and a failed run,
    days without a run."""
    readings = []
    for number in range(61):
        day = (
            datetime(2026, 9, 1 + number, tzinfo=UTC)
            if number < 30
            else datetime(2026, 10, number - 29, tzinfo=UTC)
        )
        follow = frozenset(ALL[number // 2 : 1200 + 3 * number]) - frozenset(
            ALL[1300 : 1300 + number]
        )
        follow |= frozenset(ALL[:5] if number > 55 else [])
        status = {20: "partial", 30: "held", 40: "failed"}.get(number, "complete")
        if number not in {50, 51, 52}:
            seen = follow if status in {"complete", "partial"} else frozenset()
            readings.append(
                Reading(
                    A,
                    f"{day:%Y-%m-%d} 02:00",
                    status,
                    seen,
                    None if status == "complete" else "torn",
                )
            )
    return [*readings, Reading(B, "2026-10-20 02:00", "complete", frozenset(ALL[:7]))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(find_chromium()) as started:
        yield started


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """DATABASE_URL of two OAs."""
    url = f"sqlite:///{tmp_path_factory.mktemp('page')}/followers.db"
    engine = connect_engine(url)
    upgrade(engine)
    write_history(engine, history(), NAMES)
    return url


@pytest.fixture(scope="module")
def files(database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page in both languages."""
    written = {}
    with time_machine.travel(datetime(2026, 11, 1, 5, tzinfo=UTC), tick=False):
        for lang in ("en", "vi"):
            written[lang] = tmp_path_factory.mktemp("pages") / f"{lang}.html"
            done = etl(
                "report",
                "--format",
                "html",
                "--lang",
                lang,
                "-o",
                str(written[lang]),
                DATABASE_URL=database,
            )
            assert (done.returncode, done.stderr) == (0, "")
    return written


@pytest.fixture(scope="module")
def page(browser: Browser, files: dict[str, Path]) -> Page:
    """The English page, wide and light."""
    return browser.open(files["en"])


def shown(page: Page, table: str) -> list[list[str]]:
    """The cells of a table as one sees them."""
    script = f"[...document.querySelectorAll('#{table} tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    rows: list[list[str]] = page.evaluate(script)
    return rows


def number(cell: str) -> int:
    return int(cell.replace(",", "").replace("−", "-"))


def asked(database: str, sql: str, **values: Any) -> list[Any]:
    with reading(connect_engine(database)) as connection:
        return [tuple(row) for row in connection.execute(text(sql), values)]


def test_the_numbers_on_the_page_are_those_of_the_database(page: Page, database: str) -> None:
    counts = dict(
        asked(
            database,
            "SELECT change, count(*) FROM follower_changes WHERE oaid = :a GROUP BY change",
            a=A,
        )
    )
    followed, refollowed, unfollowed = (
        counts[change] for change in ("followed", "refollowed", "unfollowed")
    )
    [(following,)] = asked(database, "SELECT count(*) FROM current_followers WHERE oaid = :a", a=A)
    assert min(followed, refollowed, unfollowed) > 0
    total = shown(page, "oa-1-periods")[-1]
    assert [number(cell) for cell in total[2:9]] == [
        0, 1200, followed, refollowed, unfollowed, followed + refollowed - unfollowed, following,
    ]  # fmt: skip
    tiles = page.evaluate(
        "[...document.querySelectorAll('#oa-1 .tiles dd:not(.before)')].map(each => each.innerText)"
    )
    [window] = asked(
        database,
        "SELECT sum(followed), sum(refollowed), sum(unfollowed) FROM snapshots WHERE oaid = :a "
        "AND status IN ('complete', 'partial') AND taken_on > '2026-10-01'",
        a=A,
    )
    assert [number(tiles[place]) for place in (0, 2, 3, 4)] == [following, *window]
    compared = {row[0]: row[1:] for row in shown(page, "compared")[1:]}
    assert compared[NAMES[A]][:6] == [tiles[1], tiles[0], *tiles[2:]]
    headline = page.evaluate("document.querySelector('#oa-1 strong').innerText")
    assert headline.startswith(f"{following:,} followers on 31 Oct 2026 (")
    assert f"{followed + refollowed:,} new or returned, {unfollowed:,} left" in headline


def test_every_week_of_the_table_is_what_the_database_counts(page: Page, database: str) -> None:
    weeks = asked(
        database,
        "SELECT sum(followed), sum(refollowed), sum(unfollowed) FROM daily_follower_churn WHERE oaid = :a "
        "GROUP BY date(day, '-6 days', 'weekday 1') ORDER BY 1 * strftime('%Y%m%d', min(day))",
        a=A,
    )
    rows = shown(page, "oa-1-periods")[1:-1]
    assert [tuple(number(cell) for cell in row[4:7]) for row in rows] == weeks


def test_the_most_recent_unfollows_are_those_of_the_database(page: Page, database: str) -> None:
    last = asked(
        database,
        "SELECT user_id FROM follower_changes WHERE oaid = :a AND change = 'unfollowed' "
        "ORDER BY snapshot_id DESC, user_id LIMIT 20",
        a=A,
    )
    assert [row[0] for row in shown(page, "oa-1-recent")[1:]] == [user for (user,) in last]


def test_what_we_could_not_see_is_told(page: Page) -> None:
    kinds = [(row[0], row[1]) for row in shown(page, "oa-1-unseen")[1:]]
    assert kinds == [
        ("read in part", "21 Sep 2026"), ("held, to be confirmed", "1 Oct 2026"), ("failed", "11 Oct 2026"), ("no run", "21 Oct 2026"),
    ]  # fmt: skip


def test_the_curve_is_broken_and_shaded_where_the_list_was_not_read_whole(page: Page) -> None:
    """Four stretches without a whole reading: five pieces of line, four shaded days or
    stretches."""
    tips = page.evaluate("document.querySelector('#oa-1 .wide svg').textContent")
    assert tips.count(": no data") == 4
    pieces = page.evaluate(
        "[...document.querySelectorAll('#oa-1 .wide svg')[0].querySelectorAll('path')]"
        ".filter(path => path.getAttribute('fill') !== '#2a78d6' && path.getAttribute('stroke') === '#2a78d6'"
        " && path.getAttribute('stroke-width') === '2').length"
    )
    assert pieces == 5


def test_one_can_hover_over_the_charts_and_read_values(page: Page, database: str) -> None:
    [(following,)] = asked(
        database, "SELECT following FROM snapshots WHERE oaid = :a ORDER BY id DESC LIMIT 1", a=A
    )
    tips = page.evaluate(
        "[...document.querySelectorAll('#oa-1 .wide svg title')].map(each => each.textContent)"
    )
    assert f"31 Oct 2026: {following:,}" in tips
    assert [tip for tip in tips if tip.startswith("28 Sep – 4 Oct 2026: New ")]
    assert [tip for tip in tips if tip.startswith("First followed in Sep 2026: ")]
    assert [tip for tip in tips if tip.startswith("After 0 days: 100.0% still follow")]
    hovered = page.evaluate(
        """(() => {
            const svg = document.querySelector('#oa-1 .wide svg');
            svg.scrollIntoView();
            const marks = [...svg.querySelectorAll('path')].filter(mark => mark.querySelector('title'));
            const box = marks.at(-1).getBoundingClientRect();
            return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)?.querySelector('title')?.textContent;
        })()"""
    )
    assert hovered == f"31 Oct 2026: {following:,}", (
        "the mark lies on top, where the pointer meets it"
    )


def test_every_chart_can_be_read_aloud(page: Page) -> None:
    script = """[...document.querySelectorAll('svg')].map(svg => [svg.getAttribute('role'),
        ...svg.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent)])"""
    charts = page.evaluate(script)
    assert len(charts) >= 8
    for role, title, description in charts:
        assert role == "img"
        assert title
        assert len(description) > 30
    doubled = "(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return ids.length - new Set(ids).size })()"
    assert page.evaluate(doubled) == 0


@pytest.mark.parametrize("lang", ["en", "vi"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_request_leaves_the_page_and_nothing_is_complained_of(
    browser: Browser, files: dict[str, Path], lang: str, width: int, *, dark: bool
) -> None:
    opened = browser.open(files[lang], width=width, dark=dark)
    assert opened.asked[0] == opened.url
    assert opened.requests == []
    assert opened.complaints == []
    assert opened.evaluate("typeof window.stolen") == "undefined"
    assert opened.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    ), "it scrolls sideways"
    visible = "[...document.querySelectorAll('#oa-1 svg')].filter(svg => svg.getBoundingClientRect().width > 0)"
    assert opened.evaluate(f"{visible}.length") == 4, "each chart is drawn once"
    reasons = "[...document.querySelectorAll('#oa-1-unseen td:last-child')]"
    edge = "document.documentElement.clientWidth"
    assert opened.evaluate(
        f"{reasons}.every(cell => cell.getBoundingClientRect().right <= {edge})"
    ), "why is in sight on a phone, too"
    outside = "(svg => svg.getBoundingClientRect().right > document.documentElement.clientWidth)"
    assert not opened.evaluate(f"{visible}.some({outside})")


def test_names_are_text_on_the_page(page: Page) -> None:
    assert page.evaluate("document.querySelector('#oa-1-name').innerText") == NAMES[A]
    assert page.evaluate("document.querySelectorAll('script, img').length") == 0


def test_in_the_dark_text_and_charts_stand_out_from_the_ground(
    browser: Browser, files: dict[str, Path]
) -> None:
    """Contrast after WCAG 2.2 (1.4.3: text 4.5 : 1; 1.4.11: what a chart is made of 3 : 1), in the
    light and in the dark."""
    for dark in (False, True):
        opened = browser.open(files["en"], dark=dark)
        ground = opened.evaluate(
            "getComputedStyle(document.querySelector('.card')).backgroundColor"
        )
        for selector, name, least in (
            ("#oa-1 td", "color", 4.5),
            (".notes", "color", 4.5),
            ("#oa-1 .wide svg text", "fill", 4.5),
            ("#oa-1 .wide svg path[stroke-width='2']", "stroke", 3),
            ("#oa-1 .wide svg [fill='#2a77d5']", "fill", 3),
            ("#oa-1 .wide svg [fill='#c94f20']", "fill", 3),
            ("#oa-1 .wide svg [fill='#0f7f57']", "fill", 3),
            ("#oa-1 .wide svg [stroke='#858177']", "stroke", 3),
        ):
            colour = opened.evaluate(
                f'getComputedStyle(document.querySelector("{selector}")).{name}'
            )
            assert contrast(colour, ground) >= least, (selector, dark, colour, ground)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_number_of_the_heat_map_stands_out_from_its_cell(dark: bool) -> None:  # noqa: FBT001 - a parameter
    for cell, ink in zip(charts.HEAT, charts.HEAT_TEXT, strict=True):
        colours = [charts.DARK[each] if dark else each for each in (cell, ink)]
        assert contrast(*map(as_rgb, colours)) >= 4.5, colours


def test_headings_are_in_order(page: Page) -> None:
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map(each => Number(each.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_values_of_the_curve_are_a_table_that_opens_without_a_mouse(
    page: Page, database: str
) -> None:
    days = asked(
        database,
        "SELECT following FROM snapshots WHERE oaid = :a AND status IN ('complete', 'partial') ORDER BY id DESC",
        a=A,
    )
    page.evaluate("document.querySelector('#oa-1 details').open = true")
    cells = shown(page, "oa-1-curve-table")[1:]
    assert [number(row[1]) for row in cells] == [following for (following,) in days]


def as_rgb(colour: str) -> str:
    """`#rrggbb` as a browser says it."""
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


def contrast(one: str, other: str) -> float:
    """Of two `rgb(…)`: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""

    def luminance(colour: str) -> float:
        red, green, blue = (
            int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")
        )
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (red, green, blue)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_page_can_be_printed(page: Page) -> None:
    assert page.pdf().startswith(b"%PDF")


def test_the_browser_of_these_tests_sees_what_a_page_asks_for_and_complains_of(
    browser: Browser, tmp_path: Path
) -> None:
    """Else the tests above could pass on nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:1/x.png'><script>console.error('no')</script>")
    opened = browser.open(bad)
    assert opened.requests == ["http://127.0.0.1:1/x.png"]
    assert any("no" in complaint for complaint in opened.complaints)


def test_without_chromium_a_test_says_why_it_did_not_run_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no chromium is installed"):
        find_chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI needs it"):
        find_chromium()

"""ChurnReport -> one HTML file without network, script or font (Jinja2, escaped).

Needs the extra `report`: whoever imports this module has asked `require_charts` before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etl.reports import charts, text
from etl.reports.counting import WINDOW
from etl.reports.language import DEFINITIONS
from etl.reports.svg import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from altair import LayerChart

    from etl.reports.charts import Size
    from etl.reports.counting import Period
    from etl.reports.figures import AccountReport, ChurnReport
    from etl.reports.language import Words

GENERATOR = "follower-etl report"
"""How a page says who made it (its meta `generator`)."""

_TILES = ("followed", "refollowed", "unfollowed", "net")


class Tile(NamedTuple):
    """A figure of the last 30 days, and the same of the 30 before."""

    name: str
    value: str
    before: str


class Drawn(NamedTuple):
    """A chart for a wide page and for a phone."""

    wide: Markup
    narrow: Markup


def as_page(report: ChurnReport, words: Words, *, index: str = "") -> str:
    """The page.

    Args:
        report: the figures.
        words: the language.
        index: the file of the page that lists all OAs, where there is one.
    """
    # Checking specifications against altair's schema takes longer than drawing them, and a wrong
    # one is refused there.
    with debug_mode(False):
        accounts = [
            _account(number, account, report, words)
            for number, account in enumerate(report.accounts, 1)
        ]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            page_head(report, words),
            accounts=accounts,
            users=report.users,
            index=index,
            comparison=text.comparison_table(report, words) if len(accounts) > 1 else [],
            compared=text.compared(report, words),
            left_out=[words("nothing_read", oa=each.label) for each in report.left_out],
            definitions=DEFINITIONS,
            keys=(
                ("followed", charts.FOLLOWED),
                ("refollowed", charts.REFOLLOWED),
                ("unfollowed", charts.UNFOLLOWED),
            ),
        )
    )


def environment() -> Environment:
    """Where the templates are; everything is escaped."""
    return Environment(
        loader=PackageLoader("etl.reports"), autoescape=True, undefined=StrictUndefined
    )


def page_head(report: ChurnReport, words: Words) -> dict[str, Any]:
    """What every page says of itself."""
    zone = words.zone(report.timezone)
    return {
        "lang": str(words.lang),
        "say": words,
        "dark_colours": charts.DARK,
        "made": words("made", when=words.moment(report.made_at), zone=zone),
        "days_in": words("days_in", zone=zone),
    }


def _account(
    number: int, account: AccountReport, report: ChurnReport, words: Words
) -> dict[str, Any]:
    name = f"oa-{number}"
    survival = account.survival
    drawn = len(account.curve) > 1
    return {
        "id": name,
        "oaid": account.oaid,
        "label": account.label,
        "from_to": words(
            "from_to", first=words.day(account.span.first), last=words.day(account.span.last)
        ),
        "headline": text.headline(account, words),
        "standing": text.standing(account, words),
        "first_night": account.first_night,
        "window": _window_title(account, words),
        "tiles": _tiles(account, words),
        "window_coverage": _window_coverage(account, words),
        "curve": _curve(name, account, words) if drawn else None,
        "curve_note": _curve_note(account, words),
        "curve_table": _curve_table(account, words),
        "wins": _wins(name, account, words) if _moved(account) else None,
        "wins_note": _wins_note(account, words),
        "periods": text.period_table(account, report, words),
        "periods_title": words(f"periods_{report.by}"),
        "overall": text.overall(account, words),
        "cohorts": _cohorts(name, account, words),
        "cohorts_note": " ".join(_cohort_notes(account, words)),
        "cohort_table": (
            text.cohort_table(account, words) if account.cohorts or account.there_at_start else []
        ),
        "survival": _survival(name, account, words) if survival.users else None,
        "survival_table": text.survival_table(account, words),
        "median": text.median(account, words),
        "stay_table": text.stay_table(account, words) if account.last_complete_at else [],
        "recent_table": text.recent_table(account, words),
        "unseen_table": text.unseen_table(account.unseen, words),
        "unseen_notes": text.unseen_notes(account),
    }


def _window_title(account: AccountReport, words: Words) -> str:
    last = account.last_30_days
    title = words("last_days_to", days=WINDOW, day=words.day(last.last))
    if last.days == WINDOW:
        return title
    return words("window_since", window=title, day=words.day(last.first))


def _tiles(account: AccountReport, words: Words) -> list[Tile]:
    last, before = account.last_30_days, account.before_30_days
    full = before is not None and before.days == WINDOW

    def note(value: str) -> str:
        return words("before_days", value=value, days=WINDOW) if full else ""

    then = "" if before is None else words.number(before.following_end)
    tiles = [
        Tile(
            words("following"),
            words.number(account.following),
            words("then", value=then, day=words.day(before.last)) if before is not None else "",
        ),
        _churn(last, before, words),
    ]
    for each in _TILES:
        value, earlier = (
            words.number(window.known(each) if window else None, sign=each == "net")
            for window in (last, before)
        )
        tiles.append(Tile(words(each), value, note(earlier)))
    return tiles


def _window_coverage(account: AccountReport, words: Words) -> str:
    """On how many nights the tiles rest, and which days their losses cover."""
    before = account.before_30_days
    told = f"{words('coverage')}: {text.coverage(account.last_30_days, words)}"
    if before is None or before.days < WINDOW:
        return told
    earlier = words("before_days", value=text.coverage(before, words), days=WINDOW)
    return f"{told} · {earlier}"


def _churn(last: Period, before: Period | None, words: Words) -> Tile:
    """The rate, that of the 30 days before, and by how many points it changed."""
    name = words("churn_rate")
    if last.days < WINDOW:
        return Tile(name, words.percent(None), words("since_day", day=words.day(last.first)))
    told = words.percent(last.churn_rate)
    if before is None or before.days < WINDOW:
        return Tile(name, told, "")
    earlier = words.percent(before.churn_rate)
    if last.churn_rate is not None and before.churn_rate is not None:
        points = words.points(last.churn_rate - before.churn_rate)
        earlier += f" ({words('change', change=points)})"
    return Tile(name, told, words("before_days", value=earlier, days=WINDOW))


def _moved(account: AccountReport) -> bool:
    """Whether there is a bar to draw."""
    total = account.total
    return any((total.followed, total.refollowed, total.unfollowed))


def _curve_note(account: AccountReport, words: Words) -> str:
    if account.last_complete_at is None:
        return words("curve_never")
    broken = account.curve_gaps or not all(reading.complete for reading in account.curve)
    return " ".join(words(each) for each in ("curve_whole", *(["curve_note"] if broken else [])))


def _curve_table(account: AccountReport, words: Words) -> list[list[str]]:
    header = [words("date"), words("following"), words("reading")]
    rows = (
        [
            words.day(reading.day),
            words.number(reading.following),
            words("whole" if reading.complete else "in_part"),
        ]
        for reading in reversed(account.curve)
    )
    return [header, *rows]


def _wins_note(account: AccountReport, words: Words) -> str:
    unsure = any(period.unfollowed is None or charts.hatched(period) for period in account.bars)
    note = words("wins_note", by=words(f"by_{account.bars_by}"))
    return f"{note} {words('wins_hatched')}" if unsure else note


def _curve(name: str, account: AccountReport, words: Words) -> Drawn | None:
    if not account.curve:
        return None
    readings = [reading for reading in account.curve if reading.complete] or list(account.curve)
    counts = [reading.following for reading in readings]
    description = words(
        "curve_desc",
        first=words.number(counts[0]),
        first_day=words.day(readings[0].day),
        last=words.number(counts[-1]),
        last_day=words.day(readings[-1].day),
        low=words.number(min(counts)),
        high=words.number(max(counts)),
        gaps=len(account.curve_gaps),
    )
    return _drawn(charts.curve, f"{name}-curve", account, words, words("curve"), description)


def _wins(name: str, account: AccountReport, words: Words) -> Drawn:
    counts = {
        each: words.number(getattr(account.total, each))
        for each in ("followed", "refollowed", "unfollowed")
    }
    description = words("wins_desc", by=words(f"by_{account.bars_by}"), **counts)
    return _drawn(charts.wins, f"{name}-wins", account, words, words("wins"), description)


def _cohorts(name: str, account: AccountReport, words: Words) -> Drawn | None:
    shown = charts.shown_cohorts(account)
    if not any(count is not None for cohort in shown for count in cohort.following):
        return None
    months = words.number(len(account.cohorts[-charts.NEWEST_COHORTS :]))
    description = words("cohort_desc", cohorts=months)
    return _drawn(charts.cohorts, f"{name}-cohorts", account, words, words("cohorts"), description)


def _cohort_notes(account: AccountReport, words: Words) -> list[str]:
    notes = text.cohort_notes(account, words)
    if len(account.cohorts) > charts.NEWEST_COHORTS:
        notes.append(words("cohort_newest", shown=charts.NEWEST_COHORTS, all=len(account.cohorts)))
    return notes


def _survival(name: str, account: AccountReport, words: Words) -> Drawn:
    users, left = words.number(account.survival.users), words.number(account.survival.left)
    description = words("survival_desc", users=users, left=left, median=text.median(account, words))
    return _drawn(
        charts.survival, f"{name}-survival", account, words, words("survival"), description
    )


def _drawn(
    draw: Callable[[AccountReport, Words, Size], LayerChart],
    name: str,
    account: AccountReport,
    words: Words,
    title: str,
    description: str,
) -> Drawn:
    """Draw a chart twice, wide and narrow; the style sheet shows one of the two.

    A wide drawing made small could not be read on a phone.
    """
    return Drawn(
        *(
            # Markup: it is our own SVG, and whatever text is in it was escaped when it was written
            # as XML.
            Markup(  # noqa: S704 - see above
                render(
                    draw(account, words, size),
                    words,
                    name=f"{name}-{size.name}",
                    title=title,
                    description=description,
                )
            )
            for size in (charts.WIDE, charts.NARROW)
        )
    )

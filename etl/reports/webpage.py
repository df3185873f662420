"""ChurnReport -> one HTML file that needs nothing but itself: no network, no script, no font (Jinja2, escaped).

Needs the extra `report`: whoever imports this module has asked `require_charts` before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from altair.utils.schemapi import debug_mode
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etl.reports import charts, text
from etl.reports.language import DEFINITIONS, Words
from etl.reports.svg import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from altair import LayerChart

    from etl.reports.charts import Size
    from etl.reports.figures import AccountReport, ChurnReport

_TILES = ("followed", "refollowed", "unfollowed", "net")


class Drawn(NamedTuple):
    """A chart for a wide page and for a phone."""

    wide: Markup
    narrow: Markup


def as_page(report: ChurnReport, words: Words) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("etl.reports"), autoescape=True, undefined=StrictUndefined
    )
    # Checking specifications against altair's schema takes longer than drawing them, and a wrong
    # one is refused there.
    with debug_mode(False):
        accounts = [
            _account(number, account, report, words)
            for number, account in enumerate(report.accounts, 1)
        ]
    return environment.get_template("report.html.j2").render(
        lang=str(words.lang),
        say=words,
        accounts=accounts,
        comparison=_comparison(report, words),
        left_out=report.left_out,
        definitions=DEFINITIONS,
        keys=(
            ("followed", charts.FOLLOWED),
            ("refollowed", charts.REFOLLOWED),
            ("unfollowed", charts.UNFOLLOWED),
        ),
        dark_colours=charts.DARK,
        made=words("made", when=words.moment(report.made_at), zone=report.timezone),
        days_in=words("days_in", zone=report.timezone),
    )


def _account(
    number: int, account: AccountReport, report: ChurnReport, words: Words
) -> dict[str, Any]:
    name = f"oa-{number}"
    total, survival = account.total, account.survival
    return {
        "id": name,
        "oaid": account.oaid,
        "label": account.name or account.oaid,
        "from_to": words(
            "from_to", first=words.day(account.span.first), last=words.day(account.span.last)
        ),
        "headline": text.headline(account, words),
        "read_whole": text.read_whole(account, words),
        "tiles": [
            (words("following"), words.number(total.following_end)),
            *(
                (words(each), words.number(getattr(total, each), sign=each == "net"))
                for each in _TILES
            ),
            (words("churn_rate"), words.percent(total.churn_rate)),
            (words("growth_rate"), words.percent(total.growth_rate, sign=True)),
        ],
        "curve": _curve(name, account, words),
        "wins": _wins(name, account, words),
        "wins_note": words("wins_note", by=words(f"by_{account.bars_by}")),
        "periods": text.period_table(account, report, words),
        "periods_title": f"{words('periods')} ({words(f'by_{report.by}')})",
        "cohorts": _cohorts(name, account, words),
        "cohorts_note": " ".join(_cohort_notes(account, words)),
        "cohort_table": text.cohort_table(account, words) if account.cohorts else [],
        "survival": _survival(name, account, words) if survival.users else None,
        "survival_table": text.survival_table(account, words),
        "median": text.median(account, words),
        "stay_table": text.stay_table(account, words),
        "recent_table": text.recent_table(account, words),
        "unseen_table": text.unseen_table(account.unseen, words),
    }


def _comparison(report: ChurnReport, words: Words) -> list[list[str]]:
    columns = ("following_end", *_TILES)
    header = [words("account"), *map(words, columns), words("churn_rate"), words("growth_rate")]
    return [
        header,
        *(
            [
                account.name or account.oaid,
                *(
                    words.number(getattr(account.total, each), sign=each == "net")
                    for each in columns
                ),
                words.percent(account.total.churn_rate),
                words.percent(account.total.growth_rate, sign=True),
            ]
            for account in report.accounts
        ),
    ]


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
    if not any(count is not None for cohort in account.cohorts for count in cohort.following):
        return None
    description = words(
        "cohort_desc", cohorts=words.number(len(account.cohorts[-charts.NEWEST_COHORTS :]))
    )
    return _drawn(charts.cohorts, f"{name}-cohorts", account, words, words("cohorts"), description)


def _cohort_notes(account: AccountReport, words: Words) -> list[str]:
    notes = [words("def_cohort")]
    if account.last_month_open:
        notes.append(words("so_far"))
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
    """Twice: a wide drawing made small could not be read on a phone. The style sheet shows one of the two."""
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

"""Figures -> charts (Altair). Pure: they know no page, and each colour stands for one thing.

The page's style sheet gives every one of these colours another value in the dark, by the attribute
that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import altair as alt

from etl.reports.periods import By, Span, month_number, month_of
from etl.reports.text import cohort_label
from etl.texts import Lang

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.reports.counting import Period
    from etl.reports.figures import AccountReport, Cohort, Reading
    from etl.reports.language import Words

INK, GRID = "#52514e", "#e1e0d9"
UNSEEN, UNSEEN_EDGE = "#eae7de", "#858177"
GROUND = "#fffffe"
"""The card's own colour, between bars that stand on each other."""
LINE, BAND = "#2a78d6", "#bcd7f4"
FOLLOWED, REFOLLOWED, UNFOLLOWED = "#2a77d5", "#0f7f57", "#c94f20"
HEAT = ("#e2eefb", "#b5d4f4", "#76afe8", "#2b6db5", "#174f8f")
HEAT_TEXT = ("#0b223a", "#0b223b", "#0b223c", "#fcfcfb", "#fcfcfa")
"""From 0 to 20 % to 80 to 100 %, and what is written on each."""

DARK = {
    INK: "#b4b2a8", GRID: "#3a3935", UNSEEN: "#33312c", UNSEEN_EDGE: "#8d897e", GROUND: "#1e1e1d", LINE: "#6aa9ee", BAND: "#2b4a6d",
    FOLLOWED: "#5b9ee8", REFOLLOWED: "#3cc492", UNFOLLOWED: "#ee8256",
    **dict(zip(HEAT, ("#16283c", "#1d4269", "#2c6199", "#5492d3", "#a5cdf6"), strict=True)),
    **dict(zip(HEAT_TEXT, ("#e6effa", "#e6effb", "#f4f8fc", "#06182a", "#06182b"), strict=True)),
}  # fmt: skip
"""What each becomes on a dark page."""

NEWEST_COHORTS = 24
"""Rows of the heat map at most."""

STRIPES = 60
"""How many stripes a hatched bar as high as the chart would have."""

ROW_LABEL = 60
"""Pixels that the name of a row of the heat map takes beyond those of an axis of numbers."""

PADDING = {"left": 12, "top": 4, "right": 6, "bottom": 2}
"""Pixels. Labels stand to the left: the reader's font may be wider than the one that they were
measured with."""

MANY_STRETCHES, STRIP = 30, 6
"""Past so many stretches without data a strip of so many pixels stands for their edges."""

MANY_DAYS = 120
"""Past so many, the time axis names months."""

A_MONTH = 31
"""Up to so many days each mark of the time axis is a day."""

NOON = 0.5
"""Where in its day a reading is drawn: a shaded day lies around its middle, and touches no
neighbour's point."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a chart is drawn (pixels), and how much of it one can hover or read."""

    name: str
    width: int
    height: int
    ticks: int
    points: int
    months: int


WIDE = Size("wide", 800, 240, ticks=8, points=150, months=24)
NARROW = Size("narrow", 290, 200, ticks=3, points=60, months=9)


def curve(account: AccountReport, words: Words, size: Size) -> alt.LayerChart:
    """Who followed, day by day; broken and shaded where the list was not read whole."""
    whole = [reading for reading in account.curve if reading.complete]
    gaps = [
        {**_between(gap), "tip": f"{words.span(gap, By.DAY)}: {words('not_seen')}"}
        for gap in account.curve_gaps
    ]
    line = [
        {"t": _at(reading.day, NOON), "n": reading.following, "part": part}
        for part, stretch in enumerate(_stretches(whole, account.curve_gaps))
        for reading in _thinned(stretch, size.width)
    ]
    alone = [
        _point(stretch[0], words)
        for stretch in _stretches(whole, account.curve_gaps)
        if len(stretch) == 1
    ]
    hover = [_point(reading, words) for reading in _thinned(whole, size.points)]
    part_read = [
        _point(reading, words)
        for reading in _thinned([r for r in account.curve if not r.complete], size.points)
    ]
    y = alt.Y(
        "n:Q",
        title=None,
        scale=alt.Scale(zero=False, nice=True),
        axis=alt.Axis(format=",d", tickMinStep=1, tickCount=5),
    )
    x = _time_axis(account.span, words, size)
    return _finished(
        [
            *_shaded(gaps, x, size),
            _marks(line)
            .mark_line(color=LINE, strokeWidth=2, aria=False, strokeJoin="round")
            .encode(x=x, y=y, detail=alt.Detail("part:N")),
            _marks(alone).mark_circle(color=LINE, size=28, opacity=1, aria=False).encode(x=x, y=y),
            _marks(part_read)
            .mark_point(color=LINE, size=26, strokeWidth=1.2, filled=False, opacity=1)
            .encode(x=x, y=y, description=alt.Description("tip:N")),
            _marks(hover[-1:])
            .mark_text(color=INK, align="right", dy=-10, fontSize=12, fontWeight="bold", aria=False)
            .encode(x=x, y=y, text=alt.Text("label:N")),
            _marks(hover)
            .mark_circle(color=LINE, size=110, opacity=0)
            .encode(x=x, y=y, description=alt.Description("tip:N")),
        ],
        size,
    )


def wins(account: AccountReport, words: Words, size: Size) -> alt.LayerChart:
    """Bars of each period: new upwards, left downwards; shaded where nobody knows who left.

    Hatched where what was found covers other days than the bar's: it is no figure of that period.
    """
    bars, outlines, unseen = [], [], []
    tallest = max(
        ((each.followed or 0) + (each.refollowed or 0) for each in account.bars), default=0
    )
    deepest = max((each.unfollowed or 0 for each in account.bars), default=0)
    stripe = (tallest + deepest) / STRIPES
    for period in account.bars:
        where = _between(Span(period.first, period.last), inset=0.1)
        tip = _period_tip(period, account, words)
        if period.unfollowed is None:
            unseen.append({**_between(Span(period.first, period.last)), "tip": tip})
        followed, again = period.followed or 0, period.refollowed or 0
        for low, high, colour in (
            (0, followed, FOLLOWED),
            (followed, followed + again, REFOLLOWED),
            (-(period.unfollowed or 0), 0, UNFOLLOWED),
        ):
            bar = {**where, "fill": colour, "tip": tip}
            if high > low and hatched(period):
                outlines.append({**bar, "n": low, "n2": high})
                bars += [{**bar, "n": n, "n2": n2} for n, n2 in _stripes(low, high, stripe)]
            elif high > low:
                bars.append({**bar, "n": low, "n2": high})
    x = _time_axis(account.span, words, size)
    y = alt.Y("n:Q", title=None, axis=alt.Axis(format=",d", tickMinStep=1, tickCount=5))
    return _finished(
        [
            *_shaded(unseen, x, size),
            _marks(outlines)
            .mark_rect(fill=UNSEEN, fillOpacity=0, strokeWidth=1)
            .encode(
                x=x,
                x2=alt.X2("t2:Q"),
                y=y,
                y2=alt.Y2("n2:Q"),
                stroke=alt.Stroke("fill:N", scale=None),
                description=alt.Description("tip:N"),
            ),
            _marks(bars)
            .mark_rect(stroke=GROUND, strokeWidth=0.6)
            .encode(
                x=x,
                x2=alt.X2("t2:Q"),
                y=y,
                y2=alt.Y2("n2:Q"),
                color=alt.Color("fill:N", scale=None),
                description=alt.Description("tip:N"),
            ),
            _marks([{"n": 0}])
            .mark_rule(color=INK, strokeWidth=1, aria=False)
            .encode(y=alt.Y("n:Q")),
        ],
        size,
    )


def cohorts(account: AccountReport, words: Words, size: Size) -> alt.LayerChart:
    """A row a month of first follows, a column a month since; the darker, the more still follow."""
    shown = shown_cohorts(account)
    labels = [
        f"{cohort_label(cohort, account, words)} · {words.number(cohort.users)}" for cohort in shown
    ]
    cells = [
        {
            "row": label,
            "since": since,
            "fill": HEAT[_step(share)],
            "ink": HEAT_TEXT[_step(share)],
            "text": words.percent(share, digits=0).removesuffix("%"),
            "tip": _cohort_tip(
                "start_tip" if cohort is account.there_at_start else "cohort_tip",
                cohort,
                since,
                words,
            ),
        }
        for label, cohort in zip(labels, shown, strict=True)
        for since, share in enumerate(cohort.retention[: size.months])
        if share is not None
    ]
    unknown = [
        {"row": label, "since": since, "text": words.percent(None)}
        for label, cohort in zip(labels, shown, strict=True)
        for since, share in enumerate(cohort.retention[: size.months])
        if share is None
    ]
    columns = max((len(cohort.following) for cohort in shown), default=1)
    step = min((size.width - ROW_LABEL) // min(columns, size.months), 56)
    x = alt.X(
        "since:O",
        title=words("months_since"),
        axis=alt.Axis(labelAngle=0, orient="top", labelOverlap=False),
        scale=alt.Scale(paddingInner=0.06),
    )
    y = alt.Y(
        "row:O",
        title=None,
        sort=labels,
        axis=alt.Axis(labelOverlap=False),
        scale=alt.Scale(paddingInner=0.08),
    )
    tiles = _marks(cells)
    return _finished(
        [
            tiles.mark_rect(cornerRadius=2).encode(
                x=x,
                y=y,
                color=alt.Color("fill:N", scale=None),
                description=alt.Description("tip:N"),
            ),
            tiles.mark_text(fontSize=11 if step > 30 else 9, aria=False).encode(  # noqa: PLR2004 - pixels
                x=x, y=y, text=alt.Text("text:N"), color=alt.Color("ink:N", scale=None)
            ),
            _marks(unknown)
            .mark_text(color=INK, aria=False)
            .encode(x=x, y=y, text=alt.Text("text:N")),
        ],
        size,
        width=alt.Step(step),
        height=alt.Step(24),
    )


def shown_cohorts(account: AccountReport) -> tuple[Cohort, ...]:
    """Those there at the start, and the newest months."""
    newest = account.cohorts[-NEWEST_COHORTS:]
    return newest if account.there_at_start is None else (account.there_at_start, *newest)


def hatched(period: Period) -> bool:
    """Whether it has losses that are known, but are those of other days."""
    return bool(period.unfollowed) and not period.bounded


def _cohort_tip(name: str, cohort: Cohort, since: int, words: Words) -> str:
    """What a cell says."""
    return words(
        name,
        month=words.month(cohort.month),
        count=words.number(cohort.following[since]),
        users=words.number(cohort.users),
        share=words.percent(cohort.retention[since]),
        then=words.month(month_of(month_number(cohort.month) + since)),
    )


def survival(account: AccountReport, words: Words, size: Size) -> alt.LayerChart:
    """The share of new followers who still follow, by days, with its band."""
    curve = account.survival
    steps_at = [point.day for point in curve.points]
    # Until the first step the band widens as fewer are observed.
    before = [day for day, _ in curve.lengths if not steps_at or day < steps_at[0]]
    days = sorted({0, *before, *steps_at, curve.last})
    steps = []
    for day in _thinned(days, size.width // 2):
        point = curve.at(day)
        if point is not None:
            low, high = (
                point.survival if point.low is None else point.low,
                point.survival if point.high is None else point.high,
            )
            tip = words(
                "survival_tip",
                days=words.days(day),
                share=words.percent(point.survival),
                low=words.percent(point.low),
                high=words.percent(point.high),
            )
            steps.append({"d": day, "s": point.survival, "low": low, "high": high, "tip": tip})
    x = alt.X(
        "d:Q",
        title=words("survival_axis"),
        scale=alt.Scale(nice=False),
        axis=alt.Axis(tickCount=size.ticks, tickMinStep=1),
    )
    y = alt.Y(
        "s:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5)
    )
    marks = _marks(steps)
    return _finished(
        [
            marks.mark_area(
                color=BAND,
                opacity=0.7,
                line={"color": LINE, "strokeWidth": 1, "strokeDash": [2, 3]},
                interpolate="step-after",
                aria=False,
            ).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
            marks.mark_line(color=LINE, strokeWidth=2, interpolate="step-after", aria=False).encode(
                x=x, y=y
            ),
            _marks(_thinned(steps, size.points))
            .mark_circle(color=LINE, size=110, opacity=0)
            .encode(x=x, y=y, description=alt.Description("tip:N")),
        ],
        size,
    )


def _finished(
    layers: list[alt.Chart],
    size: Size,
    *,
    width: float | alt.Step | None = None,
    height: float | alt.Step | None = None,
) -> alt.LayerChart:
    """Layers that have anything to show, in the page's own look; its ground shows through.

    All is said to one call: each later one would copy the data of every layer.
    """
    filled = [layer for layer in layers if layer.data.values]
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
    axis = alt.AxisConfig(
        labelColor=INK, titleColor=INK, gridColor=GRID, domainColor=GRID, tickColor=GRID, labelFont=font, titleFont=font,
        labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelOverlap=True, labelSeparation=14, titlePadding=8,
    )  # fmt: skip
    look = alt.Config(
        view=alt.ViewConfig(stroke=None),
        axis=axis,
        axisX=alt.AxisConfig(grid=False),
        text=alt.MarkConfig(font=font),
    )
    return alt.LayerChart(
        layer=filled,
        width=width or size.width - 60,
        height=height or size.height,
        background="transparent",
        padding=PADDING,
        config=look,
    )


def _shaded(stretches: Sequence[dict[str, Any]], x: alt.X, size: Size) -> list[alt.Chart]:
    """Days without data: light, within an edge that stands out.

    Where there are many nothing but edges would be seen: there a strip along the axis stands out.
    """
    many = len(stretches) > MANY_STRETCHES
    marks = _marks(stretches)
    shade: alt.Chart = marks.mark_rect(
        fill=UNSEEN, stroke=GRID if many else UNSEEN_EDGE, strokeWidth=0.5 if many else 1
    ).encode(x=x, x2=alt.X2("t2:Q"), description=alt.Description("tip:N"))
    if not many:
        return [shade]
    strip = marks.mark_rect(fill=UNSEEN_EDGE, aria=False)
    return [
        shade,
        strip.encode(
            x=x, x2=alt.X2("t2:Q"), y=alt.value(size.height - STRIP), y2=alt.value(size.height)
        ),
    ]


def _stripes(low: float, high: float, height: float) -> Iterator[tuple[float, float]]:
    """Every other stripe of a bar."""
    at = low
    while at < high:
        yield at, min(at + height, high)
        at += 2 * height


def _marks(values: Sequence[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(values)))


def _time_axis(span: Span, words: Words, size: Size) -> alt.X:
    long = span.days > MANY_DAYS
    short_form, long_form = ("%d/%m", "%m/%Y") if words.lang is Lang.VI else ("%-d %b", "%b %Y")
    form = long_form if long else short_form
    domain = [_at(span.first), _at(span.last + timedelta(days=1))]
    # A number of ticks would put two of them into one day.
    every = -(-span.days // size.ticks)
    ticks = {"interval": "day", "step": every} if span.days <= A_MONTH else size.ticks
    axis = alt.Axis(format=form, tickCount=ticks, grid=False)
    return alt.X(
        "t:T", title=None, scale=alt.Scale(type="utc", domain=domain, nice=False), axis=axis
    )


def _at(day: date, share: float = 0.0) -> int:
    """Milliseconds, as Vega counts time."""
    return round(
        (datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=share)).timestamp()
        * 1000
    )


def _between(span: Span, inset: float = 0.0) -> dict[str, int]:
    return {"t": _at(span.first, inset * span.days), "t2": _at(span.last, 1 - inset * span.days)}


def _point(reading: Reading, words: Words) -> dict[str, Any]:
    return {
        "t": _at(reading.day, NOON),
        "n": reading.following,
        "tip": f"{words.day(reading.day)}: {words.number(reading.following)}",
        "label": words.number(reading.following),
    }


def _stretches(readings: Sequence[Reading], gaps: Sequence[Span]) -> list[list[Reading]]:
    """The curve between its gaps."""
    before_gap = {gap.first - timedelta(days=1) for gap in gaps}
    stretches: list[list[Reading]] = [[]]
    for reading in readings:
        stretches[-1].append(reading)
        if reading.day in before_gap:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _thinned(values: Sequence[Any], most: int) -> list[Any]:
    """About so many of them, evenly, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    stride = -(-len(values) // most)
    return [*values[:-1:stride], values[-1]]


def _step(share: float) -> int:
    return min(int(share * len(HEAT)), len(HEAT) - 1)


def _period_tip(period: Period, account: AccountReport, words: Words) -> str:
    counts = ", ".join(
        f"{words(name)} {words.number(period.known(name), sign=name == 'net')}"
        for name in ("followed", "refollowed", "unfollowed", "net")
    )
    told = f"{words.span(period.span, account.bars_by)}: {counts}"
    if hatched(period) and period.covers is not None:
        told += f" ({words('covers', span=words.span(period.covers, By.DAY))})"
    return told

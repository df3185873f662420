"""How each language of a report says things: its texts filled, its numbers and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.model import VIETNAM
from etl.reports.periods import By, Span, whole
from etl.texts import MONTHS, NOTHING, Lang, Texts

if TYPE_CHECKING:
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

DEFINITIONS = ("def_identity", "def_baseline", "def_both", "def_churn", "def_unseen")
"""What must be said beside the table of periods."""


class Words:
    """One language: `words("churn_rate")`, and numbers and dates as it writes them."""

    def __init__(self, lang: Lang, zone: ZoneInfo) -> None:
        self.lang = lang
        self._zone = zone
        self._texts = Texts(lang, zone)

    def __call__(self, name: str, **values: object) -> str:
        """A text, its places filled."""
        return self._texts(f"report.{name}", **values)

    def reason(self, reason: str | None) -> str | None:
        """Why a run was not believed, as part of a sentence."""
        return self._texts.reason(reason)

    def zone(self, name: str) -> str:
        """A time zone as readers of the language call it."""
        return self("vietnam") if name == VIETNAM else self("zone", zone=name)

    def number(self, value: int | None, *, sign: bool = False) -> str:
        """A count, or what stands for one that could not be seen."""
        return self._texts.number(value, sign=sign)

    def followers(self, count: int | None) -> str:
        """How many followers, as `number` writes it."""
        return NOTHING if count is None else self._texts.count("followers", count)

    def percent(self, value: float | None, *, sign: bool = False, digits: int = 1) -> str:
        """A share as a percentage."""
        if value is None:
            return NOTHING
        return self._texts.local(f"{100 * value:{'+' if sign and value else ''},.{digits}f}%")

    def points(self, difference: float) -> str:
        """The difference of two shares, in percentage points."""
        return self._texts.local(f"{100 * difference:+.1f}")

    def days(self, count: int) -> str:
        """A length of time."""
        return self("one_day") if count == 1 else self("days", days=self.number(count))

    def day(self, day: date | None) -> str:
        """A date."""
        return NOTHING if day is None else self._texts.day(day)

    def month(self, day: date) -> str:
        """The month of a date."""
        return f"{day:%m/%Y}" if self.lang is Lang.VI else f"{MONTHS[day.month - 1]} {day.year}"

    def moment(self, moment: datetime | None) -> str:
        """A date and a time of day, in ETL_TIMEZONE."""
        if moment is None:
            return NOTHING
        local = moment.astimezone(self._zone)
        if self.lang is Lang.VI:
            return f"{local:%H:%M} ngày {self.day(local.date())}"
        return f"{self.day(local.date())} {local:%H:%M}"

    def span(self, span: Span, by: By) -> str:
        """A period as short as it can be told."""
        if span.first == span.last:
            return self.day(span.first)
        if by is By.MONTH and whole(span, By.MONTH):
            return self.month(span.first)
        first, last = span.first, span.last
        if self.lang is Lang.VI:
            return f"{first:%d/%m}{'' if first.year == last.year else f'/{first.year}'}–{last:%d/%m/%Y}"
        begin = f"{first.day}"
        if (first.year, first.month) != (last.year, last.month):
            begin += f" {MONTHS[first.month - 1]}"
        if first.year != last.year:
            begin += f" {first.year}"
        return f"{begin} – {self.day(last)}"

    def number_format(self) -> dict[str, object]:
        """The same for charts: https://d3js.org/d3-format#formatLocale."""
        point, thousands = self._texts("number.point"), self._texts("number.thousands")
        return {"decimal": point, "thousands": thousands, "grouping": [3], "currency": ["", ""]}

"""What the terminal and the reports say to people, in English and in Vietnamese.

Each language has a table, which also says how it writes numbers.

The tables (`en.toml`, `vi.toml`) have the same keys. A text with two forms (`one`, `many`) is
chosen by a count. The Vietnamese words are Zalo's own: a follower of an OA is `người quan tâm`, to
unfollow is `bỏ quan tâm`; `theo dõi` is the everyday word for *follow*, so it never stands for
*observe*. Logs and JSON are English always.
What errors say has a table of its own (errors.py).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from etl.texts.errors import in_vietnamese

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOTHING = "–"
"""Stands for what is not known or could not be seen. Never 0."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Lang(StrEnum):
    """The languages that people are spoken to in."""

    EN = "en"
    VI = "vi"


def language(setting: str, environment: Mapping[str, str]) -> Lang:
    """The language for a value of ETL_LANG; for `auto`, that of the locale."""
    if setting in tuple(Lang):
        return Lang(setting)
    chosen = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environment[name] for name in chosen if environment.get(name)), "")
    return Lang.VI if locale.lower().startswith("vi") else Lang.EN


@cache
def table(lang: Lang) -> dict[str, str | dict[str, str]]:
    """All texts of a language by their keys, such as `sync.held`."""
    content = (files(__name__) / f"{lang}.toml").read_text(encoding="utf-8")
    return dict(_flat("", tomllib.loads(content)))


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, str | dict[str, str]]]:
    for key, value in tree.items():
        if isinstance(value, str) or "many" in value:
            yield prefix + key, value
        else:
            yield from _flat(f"{prefix}{key}.", value)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language, and the zone in which it writes times."""

    lang: Lang = Lang.EN
    zone: tzinfo = UTC

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its values in place.

        Raises:
            KeyError: no such key.
        """
        found = table(self.lang)[key]
        return (found if isinstance(found, str) else found["many"]).format(**values)

    def has(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in table(self.lang)

    def count(self, key: str, number: int) -> str:
        """The text of a key for so many: "1 follower", "3,068 followers"."""
        found = table(self.lang)[key]
        form = found if isinstance(found, str) else found["one" if number == 1 else "many"]
        return form.format(count=self.number(number))

    def reason(self, reason: str | None) -> str | None:
        """Why a run was not believed or did not end, as part of a sentence.

        Args:
            reason: such as `unreachable: no answer from …`; its first word decides.

        Returns:
            That word where nothing is known about it; None for no reason.
        """
        if not reason:
            return None
        word = reason.partition(":")[0]
        key = f"reason.{word}"
        return self(key) if self.has(key) else word

    def error(self, english: str) -> str:
        """What an error says, or its advice, in our language."""
        return in_vietnamese(english) if self.lang is Lang.VI else english

    def number(self, value: int | None, *, sign: bool = False) -> str:
        """A whole number with its thousands apart."""
        if value is None:
            return NOTHING
        return self.local(f"{value:+,}" if sign and value else f"{value:,}")

    def decimal(self, value: float, *, point: bool = False) -> str:
        """A number with one digit behind the point; without a 0 there, unless `point`."""
        return self.local(f"{value:.1f}" if point else f"{value:.1f}".removesuffix(".0"))

    def local(self, number: str) -> str:
        """A number as Python writes it (-1,234.5), with the marks of our language."""
        return number.translate(_marks(self.lang))

    def day(self, value: date) -> str:
        """A date."""
        if self.lang is Lang.VI:
            return f"{value:%d/%m/%Y}"
        return f"{value.day} {MONTHS[value.month - 1]} {value.year}"

    def moment(self, value: datetime) -> str:
        """A time of a day in our zone, with the zone."""
        local = value.astimezone(self.zone)
        if self.lang is Lang.VI:
            return f"{local:%H:%M} {self.day(local)} ({local:%Z})"
        return f"{self.day(local)}, {local:%H:%M} {local:%Z}"

    def time(self, value: datetime) -> str:
        """A time as a column has it: in our zone, which stands in the header (`zone_name`)."""
        return f"{value.astimezone(self.zone):%Y-%m-%d %H:%M}"

    def zone_name(self, value: datetime) -> str:
        """The short name of our zone at a time, such as +07 or CET."""
        return f"{value.astimezone(self.zone):%Z}"


@cache
def _marks(lang: Lang) -> dict[int, str]:
    """By Python's marks in a number, those of a language. A minus is a minus in both."""
    say = Texts(lang)
    return str.maketrans(
        {",": say("number.thousands"), ".": say("number.point"), "-": "\N{MINUS SIGN}"}
    )


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text of the tables with its values, before a language is chosen.

    `str()` is the English one.

    Attributes:
        key: of the tables, such as `doctor.clock.ahead`.
        values: for the places in the text. Whole numbers are written as the language does, phrases
            in the language, all else as what errors say.
    """

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def said(self, say: Texts) -> str:
        """The text in a language."""
        return say(self.key, **{name: _said(value, say) for name, value in self.values.items()})

    def __str__(self) -> str:
        return self.said(Texts())


def phrase(key: str, **values: object) -> Phrase:
    """A text of the tables with its values."""
    return Phrase(key, values)


def _said(value: object, say: Texts) -> object:
    if isinstance(value, Phrase):
        return value.said(say)
    return say.number(value) if isinstance(value, int) else say.error(str(value))

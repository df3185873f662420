"""What errors say, in another language than English.

The English of an error stands where it is raised, and in `snapshots.reason` as it was told then.
`errors.vi.toml` has the translation of each under the English itself, as gettext has it, with {0},
{1} … for what it is filled with. What stands there is translated in turn.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

_PLACE = re.compile(r"\{\d+\}")

_FILLING = r"((?:(?![.;] ).)+?)(?<!:)"
"""Never beyond the end of a sentence; what ends in a colon is said of what comes."""

_PARTS = (
    ("; ", re.compile(r";\s+")),
    (" ", re.compile(r"(?<=\.)\s+")),
    (": ", re.compile(r":\s+")),
)
"""What several texts are told together with, and where to part them."""


@cache
def translations() -> dict[str, str]:
    """The Vietnamese of each English text."""
    content = (files(__package__) / "errors.vi.toml").read_text(encoding="utf-8")
    return {key: each for part in tomllib.loads(content).values() for key, each in part.items()}


def in_vietnamese(text: str) -> str:
    """What an error says, in Vietnamese.

    Words of others that nobody translated stay as they are.
    """
    if (known := translations().get(text)) is not None:
        return known
    for pattern, translation in _patterns():
        found = pattern.fullmatch(text)
        if found and all(map(_is_whole, found.groups())):
            return translation.format(*map(in_vietnamese, found.groups()))
    for mark, end in _PARTS:
        if len(parts := end.split(text, maxsplit=1)) > 1:
            return mark.join(map(in_vietnamese, parts))
    return text


def _is_whole(filling: str) -> bool:
    """Whether no bracket is closed in it that was opened before it."""
    return "(" in filling.partition(")")[0] or ")" not in filling


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Those with places in them, the most telling first."""
    filled = [key for key in translations() if _PLACE.search(key)]
    filled.sort(key=lambda key: len(_PLACE.sub("", key)), reverse=True)
    return [(_pattern(key), translations()[key]) for key in filled]


def _pattern(key: str) -> re.Pattern[str]:
    parts = [re.escape(part).replace(r"\ ", r"\s+") for part in _PLACE.split(key)]
    return re.compile(_FILLING.join(parts))

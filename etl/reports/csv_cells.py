"""Cells of a CSV file that a spreadsheet cannot take for a formula."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet compute a cell: https://owasp.org/www-community/attacks/CSV_Injection"""

_SUSPECT = frozenset(("'", *_FORMULA_STARTS))


def defused(value: T) -> T | str:
    """The value as a CSV cell: text that begins like a formula gets a `'` before it.

    Numbers, even negative ones, stay.

    Text that has such a beginning after a `'` of its own gets one too, so that nothing is lost:
    whoever wants the exact text back takes one `'` off each cell that begins with one or more `'`
    and then one of = + - @, tab, CR, LF (full-width ones too).
    """
    if (
        isinstance(value, str)
        and value[:1] in _SUSPECT
        and value.lstrip("'").startswith(_FORMULA_STARTS)
    ):
        return f"'{value}"
    return value

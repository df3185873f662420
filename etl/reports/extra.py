"""The extra `report`: whether the charts' libraries are there, and what is made with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from etl.errors import require_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from etl.reports.figures import ChurnReport
    from etl.reports.language import Words


class Pages(NamedTuple):
    """What makes pages; each is described where it is defined."""

    as_page: Callable[[ChurnReport, Words], str]
    check_folder: Callable[[Path, Iterable[str]], None]
    write_folder: Callable[[ChurnReport, Words, Path, Callable[[str, int, int], None]], None]
    warm_up: Callable[[], None]


def pages() -> Pages:
    """Import what makes pages; it takes a second.

    Raises:
        SettingsError: altair or vl-convert is not installed.
    """
    require_charts()
    _have_a_home()
    from etl.reports import folder, svg, webpage  # noqa: PLC0415 - of the extra, and slow

    return Pages(webpage.as_page, folder.check_folder, folder.write_folder, svg.warm_up)


def _have_a_home() -> None:
    """Altair asks for the user's home when it is imported; a container's user may have none."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"


def require_charts() -> None:
    """Refuse early, before anything is read.

    Raises:
        SettingsError: altair or vl-convert is not installed.
    """
    require_extra("a page with charts", "report", "altair", "vl_convert")

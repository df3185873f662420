"""ChurnReport -> a folder: an index with a row an OA, and a page an OA.

Needs the extra `report`: whoever imports this module has asked `require_charts` before.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from etl.errors import UsageError
from etl.files import atomic_file
from etl.reports import text
from etl.reports.counting import WINDOW
from etl.reports.webpage import GENERATOR, as_page, environment, page_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from etl.reports.figures import AccountReport, ChurnReport
    from etl.reports.language import Words

INDEX = "index.html"

SPARK_DAYS, SPARK_WIDTH, SPARK_HEIGHT = 90, 100, 22
"""What a spark line shows, and how large it is drawn."""

MANY = 5
"""How many names an error gives."""

SORT = """
for (const button of document.querySelectorAll("#index thead button")) button.addEventListener("click", () => {
  const head = button.closest("th"), at = head.cellIndex, order = head.getAttribute("aria-sort");
  const up = order ? order === "descending" : at === 0;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = head.closest("table").tBodies[0], key = row => row.cells[at].dataset.v;
  const compare = (a, b) => a === "" || b === "" ? (a === "") - (b === "")
    : (up ? 1 : -1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b, document.documentElement.lang) : a - b);
  body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
});
"""
"""The only script of a report: it sorts the rows of the index. Without it they stand as they
are."""


class Cell(NamedTuple):
    """What a cell shows, and what it is sorted by (empty: last)."""

    shown: str
    key: float | str | None


@dataclass(frozen=True, slots=True)
class Row:
    """An OA of the index; `href` is empty where it has no page, `_spark` are pieces of its line."""

    href: str
    cells: tuple[Cell, ...]
    spark: tuple[str, ...] = ()
    flag: str = ""


def _page_name(oaid: str) -> str:
    """The file of an OA's page."""
    return f"{quote(oaid, safe='')}.html"


def check_folder(folder: Path, oaids: Iterable[str]) -> None:
    """Refuse what would be overwritten or mixed up, before anything is read.

    Raises:
        UsageError: it is no directory, cannot be made, or holds what is not of these OAs.
    """
    if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
        raise UsageError(f"{folder}/: is a file, not a directory")
    if not folder.exists() and not folder.parent.is_dir():
        raise UsageError(f"{folder}/: there is no directory {folder.parent}")
    try:
        with TemporaryFile(dir=folder if folder.exists() else folder.parent):
            pass  # a file can be made there
        if not folder.exists():
            return
        there = sorted(path for path in folder.iterdir() if path.suffix == ".html")
        strange = [path.name for path in there if path.is_dir() or not _ours(path)]
    except OSError as error:
        raise UsageError(f"{folder}/: {error.strerror or error}") from error
    if strange:
        raise UsageError(
            f"{folder}/: not made by etl report: {_some(strange)}. Choose another directory"
        )
    allowed = {INDEX, *map(_page_name, oaids)}
    others = [path.name for path in there if path.name not in allowed]
    if others:
        raise UsageError(
            f"{folder}/: holds pages of OAs that are not in this report: {_some(others)}. "
            "Remove them or choose another directory"
        )


def write_folder(
    report: ChurnReport, words: Words, folder: Path, show: Callable[[str, int, int], None]
) -> None:
    """Write a page an OA, then the index; each file is there whole or stays as it was.

    Args:
        report: the figures.
        words: the language.
        folder: where; `check_folder` has looked at it.
        show: is told of each page: what, how many, of how many.

    Raises:
        UsageError: a file cannot be written.
    """
    count = len(report.accounts)
    try:
        folder.mkdir(exist_ok=True)
        show("progress.pages", 0, count)
        for number, account in enumerate(report.accounts, 1):
            page = as_page(replace(report, accounts=(account,), left_out=()), words, index=INDEX)
            with atomic_file(folder / _page_name(account.oaid)) as file:
                file.write(page)
            show("progress.pages", number, count)
        with atomic_file(folder / INDEX) as file:
            file.write(_as_index(report, words))
    except OSError as error:
        raise UsageError(f"{folder}/: {error.strerror or error}") from error


def _as_index(report: ChurnReport, words: Words) -> str:
    """A sortable row an OA, and their total."""
    digest = b64encode(hashlib.sha256(SORT.encode()).digest()).decode()
    headers = (
        "account",
        "churn_rate",
        "following",
        "followed",
        "unfollowed",
        "coverage",
        "last_whole",
    )
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            page_head(report, words),
            caption=text.compared(report, words),
            headers=[words(each) for each in headers],
            rows=[
                *(_row(each, words) for each in report.accounts),
                *_left_out(report, words),
            ],
            total=_total(report.accounts, words),
            script=SORT,
            script_hash=f"sha256-{digest}",
            size=(SPARK_WIDTH, SPARK_HEIGHT),
        )
    )


def _row(account: AccountReport, words: Words) -> Row:
    window, last = account.last_30_days, account.last_complete_at
    whole = window.churn_rate if window.days == WINDOW else None
    left = window.unfollowed if window.covers else None  # one reading tells of nobody who left
    new = window.known("followed")
    return Row(
        quote(_page_name(account.oaid)),
        (
            Cell(account.label, account.label),
            Cell(text.window_churn(window, words), whole),
            Cell(words.number(account.following), account.following),
            Cell(words.number(new), new),
            Cell(words.number(left), left),
            Cell(text.coverage(window, words), window.days_whole / window.days),
            Cell(words.moment(last), last.timestamp() if last else None),
        ),
        tuple(_spark(account)),
        "; ".join(_flags(account, words)),
    )


def _left_out(report: ChurnReport, words: Words) -> Iterator[Row]:
    for each in report.left_out:
        nothing = (Cell(words.number(None), None),) * 6
        yield Row("", (Cell(each.label, each.label), *nothing), flag=words("flag_nothing"))


def _total(accounts: Sequence[AccountReport], words: Words) -> list[str]:
    """The sums of what is known; the churn is of the OAs that have one, taken together."""
    windows = [account.last_30_days for account in accounts]
    rated = [each for each in windows if each.churn_rate is not None and each.days == WINDOW]
    start = sum(each.following_start + each.baseline for each in rated)
    left = sum(each.unfollowed or 0 for each in rated)
    return [
        words("all_accounts"),
        words.percent(left / start if start else None),
        words.number(_sum(account.following for account in accounts)),
        words.number(_sum(each.known("followed") for each in windows)),
        words.number(_sum(each.unfollowed for each in windows)),
    ]


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _flags(account: AccountReport, words: Words) -> Iterator[str]:
    """What is wrong with it at the end of the report."""
    until = account.last_30_days.last
    whole = [each.day for each in account.curve if each.complete]
    if account.last_complete_at is None:
        yield words("flag_never")
    elif (days := (until - max(whole, default=account.span.first)).days) > 1:
        yield words("flag_old", days=words.days(days))
    for each in account.unseen:
        if each.last is None or each.last >= until:
            reason = words.reason(each.reason)
            yield words(each.kind) + (f": {reason}" if reason else "")


def _spark(account: AccountReport) -> Iterator[str]:
    """The last days of the curve as points of lines, interrupted by the gaps of the curve."""
    last = account.last_30_days.last
    readings = [
        each for each in account.curve if each.complete and (last - each.day).days < SPARK_DAYS
    ]
    if len(readings) < 2:  # noqa: PLR2004 - a line has two ends
        return
    low = min(each.following for each in readings)
    height = max(each.following for each in readings) - low or 1
    breaks = {gap.last for gap in account.curve_gaps}
    piece: list[str] = []
    before: date | None = None
    for each in readings:
        if before is not None and any(before < gap < each.day for gap in breaks):
            yield " ".join(piece)
            piece = []
        x = SPARK_WIDTH * (1 - (last - each.day).days / SPARK_DAYS)
        y = 2 + (SPARK_HEIGHT - 4) * (1 - (each.following - low) / height)
        piece.append(f"{x:.1f},{y:.1f}")
        before = each.day
    yield " ".join(piece)


def _ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return GENERATOR in file.read(4_000)


def _some(names: Sequence[str]) -> str:
    told = ", ".join(names[:MANY])
    return told if len(names) <= MANY else f"{told} and {len(names) - MANY} more"

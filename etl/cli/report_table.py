"""`etl report` for people: the report's sentences and tables in lines of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli.listing import Column, Row, fold, listing
from etl.cli.output import printable
from etl.reports import text
from etl.reports.language import DEFINITIONS
from etl.texts import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.reports.figures import AccountReport, ChurnReport
    from etl.reports.language import Words

Table = list[list[str]]

SENTENCE = 110
"""Longer lines are hard to read: sentences are folded at this many characters at most."""

INDENT = "  "
"""Before each line of a table."""

EXACT = 10_000
"""Stands for a file or a pipe, which is as wide as a table needs."""


def as_table(report: ChurnReport, words: Words, width: int = EXACT) -> str:
    """The report as text: no line is longer than `width`, and no word and no number is cut.

    Where a table is wider than that, its less important columns are left out.
    """
    return "\n\n".join("\n".join(lines) for lines in _Pages(report, words, width).blocks()) + "\n"


class _Pages:
    """One report in one language on a terminal of one width."""

    def __init__(self, report: ChurnReport, words: Words, width: int) -> None:
        self._report, self._words, self._width = report, words, width

    def blocks(self) -> Iterator[list[str]]:
        """What is set apart by empty lines, each as its lines."""
        report, words = self._report, self._words
        yield [words("title").upper()]
        yield self._folded(words("days_in", zone=words.zone(report.timezone)))
        if len(report.accounts) > 1:
            title = text.compared(report, words)
            yield self._section(title, self._comparison(), words("compared_note"))
        for account in report.accounts:
            yield from self._account(account)
        for each in report.left_out:
            yield self._folded(left_out(each.label, words))

    def _account(self, account: AccountReport) -> Iterator[list[str]]:
        words = self._words
        name = printable(f"{account.name} ({account.oaid})" if account.name else account.oaid)
        title = self._folded(name)
        rule = "=" * max(map(len, title))
        sentences = [text.headline(account, words), *text.standing(account, words)]
        yield [*title, rule, *(line for each in sentences for line in self._folded(each))]
        if account.first_night:
            return
        window = account.last_30_days
        yield self._section(
            words("last_days_to", days=window.days, day=words.day(window.last)),
            self._periods(text.window_table(account, words)),
        )
        yield self._section(
            words(f"periods_{self._report.by}"),
            self._periods(text.period_table(account, self._report, words), total=True),
            *text.overall(account, words),
            *map(words, DEFINITIONS),
        )
        yield from self._staying(account)
        yield from self._recent(account)
        yield self._unseen(account)

    def _staying(self, account: AccountReport) -> Iterator[list[str]]:
        """Whether those who came stay: by month, by day, by length."""
        words = self._words
        if account.cohorts or account.there_at_start:
            table = self._listed(text.cohort_table(account, words), nearest_first=True)
            yield self._section(words("cohorts"), table, *text.cohort_notes(account, words))
        if account.survival.users:
            yield self._section(
                words("survival"),
                self._listed(text.survival_table(account, words)),
                text.median(account, words),
                words("def_survival"),
                words("def_interval"),
            )
        if account.last_complete_at is not None:
            table = self._listed(text.stay_table(account, words))
            yield self._section(words("stays"), table, words("def_stays"))

    def _recent(self, account: AccountReport) -> Iterator[list[str]]:
        words = self._words
        if account.last_complete_at is None or not self._report.users:
            return
        if account.recent:
            table = self._listed(text.recent_table(account, words))
            yield self._section(words("recent"), table)
        else:
            yield [words("recent"), words("no_recent")]

    def _unseen(self, account: AccountReport) -> list[str]:
        """The nights without data; why is below each of them."""
        words = self._words
        if not account.unseen:
            return [words("unseen"), words("all_seen")]
        header, *rows = text.unseen_table(account.unseen, words)
        columns = [Column(name, number=at > 0) for at, name in enumerate(header[:-1])]
        listed = [Row(row, [] if why == NOTHING else [why]) for *row, why in rows]
        notes = map(words, text.unseen_notes(account))
        return self._section(words("unseen"), self._lines(columns, listed), *notes)

    def _comparison(self) -> list[str]:
        """A row an OA, by the name; the sum of all at the end."""
        words, accounts = self._words, self._report.accounts
        table = text.comparison_table(self._report, words)
        sums = text.comparison_total([account.last_30_days for account in accounts], words)
        return self._periods([*table, [words("total"), "", *sums, ""]], total=True)

    def _periods(self, table: Table, *, total: bool = False) -> list[str]:
        lines = period_lines(table, self._words, self._width - len(INDENT), total=total)
        return [(INDENT + line).rstrip() for line in lines]

    def _listed(self, table: Table, *, nearest_first: bool = False) -> list[str]:
        """A table of numbers; with `nearest_first` its last columns are left out first."""
        header, *rows = table
        columns = [
            Column(name, number=at > 0, drop=at - 1 if nearest_first and at > 1 else 0)
            for at, name in enumerate(header)
        ]
        return self._lines(columns, [Row(list(map(printable, row))) for row in rows])

    def _lines(
        self, columns: Sequence[Column], rows: Sequence[Row], total: Row | None = None
    ) -> list[str]:
        lines = listing(columns, rows, self._width - len(INDENT), total=total)
        return [(INDENT + line).rstrip() for line in lines]

    def _section(self, title: str, table: Sequence[str], *notes: str) -> list[str]:
        """A title, a table below it, and what is to be known of its numbers."""
        said = [line for note in notes for line in self._folded(note)]
        return [*self._folded(title), *table, *said]

    def _folded(self, sentence: str) -> list[str]:
        return fold(sentence, min(self._width, SENTENCE))


def period_lines(table: Table, words: Words, width: int, *, total: bool = False) -> list[str]:
    """A table of periods, whose last row is the `total` of all.

    A remark on a number ("covers …") stands below its row.
    """
    header, *rows = table
    least = ("net", "following_start", "baseline", "growth_rate")
    drop = {words(name): 2 + at for at, name in enumerate(least)}
    columns = [Column(header[0]), Column(header[1], number=True)]
    columns += [Column(name, number=True, drop=drop.get(name, 1)) for name in header[2:]]
    listed = [_row(row) for row in rows]
    last = listed.pop() if total else None
    return listing(columns, listed, width, total=last)


def left_out(label: str, words: Words) -> str:
    """That an OA has nothing to report."""
    return f"{words('left_out')}: {words('nothing_read', oa=printable(label))}"


def _row(cells: Sequence[str]) -> Row:
    """A row of numbers. "12/30, covers …" is a number and what is told of it, for a line below."""
    name, *others = map(printable, cells)
    told = [cell.partition(", ") for cell in others]
    return Row([name, *(number for number, _, _ in told)], [more for _, _, more in told if more])

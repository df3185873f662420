"""The sweep: looks until one can be believed, or until it must be said that none can."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.model import Gaps, Sweep, ignore
from etl.settings import CONCURRENCY, MAX_LOOKS, TOTAL_TOLERANCE
from etl.sync.guard import Judge, Look, gap_of
from etl.sync.look import Budget, LookReader, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.model import Page
    from etl.sync.spool import Spool


NO_GAPS = Gaps()


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """ESMS_CONCURRENCY, ETL_MAX_LOOKS and ETL_TOTAL_TOLERANCE (a share)."""

    concurrency: int = CONCURRENCY
    max_looks: int = MAX_LOOKS
    tolerance: float = TOTAL_TOLERANCE


def sweep(
    fetch: Callable[[int], Page],
    spool: Spool,
    *,
    add_known: Callable[[], None],
    limits: SweepLimits,
    gaps: Gaps = NO_GAPS,
    renew: Callable[[], None] = ignore,
    on_page: Callable[[int, int, int], None] = ignore,
) -> Sweep:
    """Read the list as often as it takes to believe it, at most `limits.max_looks` times.

    Args:
        fetch: gives the page at an offset; called by several threads at once.
        spool: takes every user seen.
        add_known: adds to the spool who is known to follow; called once, after the first look,
            while nothing is read.
        limits: the settings.
        gaps: what is known of the OA's gaps.
        renew: called before every look but the first, so that it is read over new connections.
        on_page: given (look from 1, end of the page, Total) after every page.

    Raises:
        OffsetRefusedError: the first page itself is refused: ESMS_PAGE_SIZE is wrong.
        EtlError: whatever `fetch` raises, and SpoolError.
    """
    judge = Judge(limits.tolerance, gaps)
    before = spool.looks  # of another source, in the same run
    budget = Budget()
    looks: list[Look] = []
    missing = 0
    with Workers(fetch, limits.concurrency) as workers:
        while len(looks) < limits.max_looks:
            number = len(looks) + 1
            if looks:
                renew()
            reader = LookReader(
                workers,
                spool.add,
                budget=budget,
                tolerance=limits.tolerance,
                # From the second look on, where somebody known is missing.
                ask_behind=bool(missing),
                on_page=partial(on_page, number),
            )
            verdict = reader.read()
            tally = spool.end_look()
            same_as = tuple(look - before for look in tally.same_as if look >= before)
            looks.append(replace(verdict, distinct=tally.distinct, new=tally.new, same_as=same_as))
            if number == 1:
                add_known()
            if number == 1 or tally.new:
                missing = spool.missing()
            if judge.enough(looks, missing=missing):
                break
    return Sweep(
        total=looks[-1].total,
        seen=spool.seen(),
        missing=missing,
        looks=len(looks),
        closed_looks=sum(look.closed for look in looks),
        gap=gap_of(looks),
        reached=max(look.reached for look in looks),
        reason=judge.doubt(looks, missing=missing),
    )

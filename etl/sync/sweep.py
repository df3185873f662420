"""The sweep: looks until one can be believed, or until it must be said that none can (DESIGN §3). Handed a fetch function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.model import Sweep
from etl.sync.guard import Look, doubt, enough
from etl.sync.look import Reading, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.model import Page
    from etl.sync.spool import Spool


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """ESMS_CONCURRENCY, ETL_MAX_LOOKS and ETL_TOTAL_TOLERANCE (a share)."""

    concurrency: int = 4
    max_looks: int = 4
    tolerance: float = 0.005


def sweep(
    fetch: Callable[[int], Page],
    spool: Spool,
    *,
    add_known: Callable[[Spool], None],
    previous_gap: int | None,
    limits: SweepLimits,
    on_page: Callable[[int, int, int], None] = lambda look, end, total: None,  # noqa: ARG005 - a callback that ignores all
) -> Sweep:
    """Read the list as often as it takes to believe it, at most `limits.max_looks` times.

    Args:
        fetch: gives the page at an offset; called by several threads at once.
        spool: takes every user seen.
        add_known: tells the spool who is known to follow; called once, after the first look, while nothing is read.
        previous_gap: `total - seen` of the OA's snapshot before; None where there is none.
        limits: the settings.
        on_page: told (look from 1, users read so far, Total) after every page.

    Raises:
        OffsetRefusedError: the first page itself is refused: ESMS_PAGE_SIZE is wrong.
        EtlError: whatever `fetch` raises, and SpoolError.
    """
    looks: list[Look] = []
    missing = 0
    with Workers(fetch, limits.concurrency) as workers:
        while len(looks) < limits.max_looks:
            number = len(looks) + 1
            reading = Reading(
                workers,
                spool.add,
                tolerance=limits.tolerance,
                on_page=partial(on_page, number),
            )
            verdict = reading.read()
            tally = spool.end_look()
            looks.append(
                replace(verdict, distinct=tally.distinct, new=tally.new, same_as=tally.same_as)
            )
            if number == 1:
                add_known(spool)
                missing = missing_from_last = spool.missing()
            else:
                missing = spool.missing() if tally.new else missing
                missing_from_last = (
                    spool.missing_from(number - 1)
                    if verdict.closed and looks[-1].counts_up
                    else missing
                )
            if enough(looks, missing_from_last=missing_from_last):
                break
    seen = spool.seen()
    return Sweep(
        total=looks[-1].total,
        total_first=looks[0].total_first,
        seen=seen,
        missing=missing,
        looks=len(looks),
        closed_looks=sum(look.closed for look in looks),
        reason=doubt(
            looks, missing=missing, seen=seen, tolerance=limits.tolerance, previous_gap=previous_gap
        ),
    )

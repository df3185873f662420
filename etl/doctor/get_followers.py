"""What the documentation of GetFollowers leaves open, by asking. What decides takes values and gives a `Step`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from etl.db.engine import connect_engine, reading
from etl.doctor.step import State, Step, failed
from etl.doctor.windows import Known, learn, of_last_night
from etl.errors import EtlError, FaultError, OffsetRefusedError
from etl.model import Change
from etl.sync.chain import LARGEST_DOCUMENTED_OFFSET
from etl.sync.guard import tolerated_gap
from etl.sync.read import WINDOW_ZONE
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from etl.esms.client import EsmsClient
    from etl.model import Page
    from etl.settings import EsmsSettings, Settings

READ_WHOLE_PAGES = 20
"""A list of so many pages is read whole; of a longer one, the end is asked for."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a list ends: its `Total`, the index after the last user served, whether the server refused to go on (162)."""

    total: int
    reach: int
    refused: bool
    beyond: int = 0
    """Users served at offset Total, where there should be none."""

    distinct: int | None = None
    """Different users, where the list was short enough to be read whole."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What GetFollowers showed of an OA: its Total, everybody, where that is known, and whether it is cut."""

    total: int
    users: frozenset[str] | None = None
    cut: bool = False


def learned(
    client: EsmsClient,
    oaid: str,
    settings: EsmsSettings,
    tolerance: float,
    lists: dict[str, Listed],
) -> Iterator[Step]:
    """Ask all that is open of one OA; what was listed of it is put into `lists`."""
    called = f"OA {oaid}: "
    asked = settings.esms_page_size
    try:
        head = client.page(oaid, 0)
    except EtlError as error:
        yield failed(f"{called}page length", error)
        return
    lists[oaid] = Listed(head.total)
    yield page_length(called, asked, head)
    if len(head.users) < 2:  # noqa: PLR2004 - two users have an order, and half of them is less
        yield Step(
            f"{called}the rest",
            State.SKIPPED,
            f"too few followers to learn from (Total {head.total})",
        )
        return
    try:
        yield order(called, head, client.page(oaid, 0))
        fewer = len(head.users) // 2
        by_count, by_limit = (
            _page_by(client, oaid, count=fewer),
            _page_by(client, oaid, limit=fewer),
        )
        yield counting(called, fewer, by_count, by_limit)
        users: set[str] = set()

        def fetch(offset: int) -> Page:
            page = client.page(oaid, offset)
            users.update(page.users)
            return page

        end = _end(fetch, head, tolerance)
        whole = frozenset(users) if end.distinct is not None else None
        cut = _cut_off(end, tolerance) or end.total == LARGEST_DOCUMENTED_OFFSET + 50
        lists[oaid] = Listed(head.total, whole, cut)
        yield listing(called, end, tolerance)
        yield ceiling(called, end, tolerance)
    except EtlError as error:
        yield failed(f"{called}the rest", error)


def windows(
    client: EsmsClient, settings: Settings | None, lists: dict[str, Listed]
) -> Iterator[Step]:
    """What QueryListUID leaves open, asked on one OA: the one with most followers."""
    if not lists or (settings is not None and settings.etl_windows == "off"):
        return
    oaid = max(lists, key=lambda each: lists[each].total)
    today = datetime.now(WINDOW_ZONE).date()
    left, arrived = (
        _of_last_night(settings, oaid, change, today)
        for change in (Change.UNFOLLOWED, Change.FOLLOWED)
    )
    listed = lists[oaid]
    known = Known(listed.cut, lambda: client.page(oaid, 0).total, listed.users, left, arrived)
    called = f"OA {oaid}: windows: "
    try:
        for found in learn(partial(client.users_between, oaid), known, today):
            yield Step(f"{called}{found.name}", State(found.state), found.told, found.advice)
    except EtlError as error:
        yield failed(f"{called}the rest", error)


def _of_last_night(
    settings: Settings | None, oaid: str, change: Change, today: date
) -> frozenset[str]:
    """Whom the last complete snapshot found gone, or new; nobody where there is no database."""
    if settings is None:
        return frozenset()
    try:
        with reading(connect_engine(settings.database_url, create=False)) as connection:
            return of_last_night(connection, oaid, change, since=today - timedelta(days=2))
    except EtlError:
        return frozenset()  # the steps of the database have told


def page_length(called: str, asked: int, head: Page) -> Step:
    """How many followers a page really holds."""
    name, given = f"{called}page length", len(head.users)
    if given in {asked, head.total}:
        return Step(name, State.OK, f"asked for {asked}, got {given} of Total {head.total}")
    if given > asked:
        told, advice = f"asked for {asked}, got {given}: ESMS_PAGE_SIZE is ignored", ""
    elif not given:
        told, advice = (
            f"an empty page, while Total is {head.total}",
            "Ask eSMS: nobody of this OA can be read.",
        )
    else:
        told, advice = (
            f"asked for {asked}, got {given} of Total {head.total}",
            f"Set ESMS_PAGE_SIZE={given}: eSMS gives no more.",
        )
    return Step(name, State.WARN, told, advice)


def _page_by(
    client: EsmsClient, oaid: str, *, count: int | None = None, limit: int | None = None
) -> Page | None:
    """A page asked for with one of the two members; None where eSMS calls that wrong."""
    try:
        return client.page_of(oaid, 0, count=count, limit=limit)
    except (OffsetRefusedError, FaultError):
        return None


def counting(called: str, fewer: int, by_count: Page | None, by_limit: Page | None) -> Step:
    """Which member of the request says how many followers a page holds. We send both, so that either may."""
    heeded = [
        name
        for name, page in (("Count", by_count), ("Limit", by_limit))
        if page is not None and len(page.users) == fewer
    ]
    name = f"{called}Count or Limit"
    if len(heeded) == 1:
        return Step(name, State.OK, f"{heeded[0]} counts, alone")
    if heeded:
        return Step(name, State.OK, "both count")
    return Step(
        name,
        State.WARN,
        f"neither: asked for {fewer}, eSMS gave as many as before",
        "Nothing: a sync follows what comes.",
    )


def order(called: str, first: Page, second: Page) -> Step:
    """Whether two readings of the head, one right after the other, keep their order."""
    name = f"{called}order"
    before = [user for user in first.users if user in set(second.users)]
    after = [user for user in second.users if user in set(first.users)]
    if before and before == after:
        moved = "" if first.users == second.users else "; somebody came or went meanwhile"
        return Step(name, State.OK, f"two readings in a row keep it{moved}")
    told = (
        "two readings in a row list them in another order"
        if before
        else "two readings in a row have nobody in common"
    )
    return Step(
        name,
        State.WARN,
        told,
        "A sync takes more looks then, and is partial where they never agree. Ask eSMS for an order.",
    )


def _end(fetch: Callable[[int], Page], head: Page, tolerance: float) -> End:
    """Ask at the end; where nobody is there, find how far the list goes, by halves."""
    total = head.total

    def ask(offset: int) -> Page | None:
        try:
            return fetch(offset)
        except OffsetRefusedError:
            return None

    last = ask(total - 1) if total > head.end else head
    if last is not None and last.users:
        after = ask(total)
        beyond = len(after.users) if after is not None else 0
        return End(
            total, total, refused=False, beyond=beyond, distinct=_distinct(fetch, head, tolerance)
        )
    refused = last is None
    served, unserved = head, total - 1
    middle = LARGEST_DOCUMENTED_OFFSET if unserved > LARGEST_DOCUMENTED_OFFSET else unserved // 2
    while unserved - served.offset > 1:
        page = ask(middle)
        if page is not None and page.users:
            served = page
        else:
            refused, unserved = refused or page is None, middle
        middle = (served.offset + unserved) // 2
    return End(total, served.end, refused=refused)


def _distinct(fetch: Callable[[int], Page], head: Page, tolerance: float) -> int | None:
    """Different users of the whole list, where it is short."""
    if head.total > READ_WHOLE_PAGES * len(head.users):
        return None
    with Spool() as spool:
        limits = SweepLimits(concurrency=1, max_looks=2, tolerance=tolerance)
        return sweep(
            fetch,
            spool,
            add_known=lambda: spool.add_known([]),
            limits=limits,
        ).seen


def _cut_off(end: End, tolerance: float) -> bool:
    """Whether the server stops serving, rather than `Total` being a little too large."""
    return end.reach < end.total and (
        end.refused or end.total - end.reach > tolerated_gap(end.total, tolerance)
    )


def listing(called: str, end: End, tolerance: float) -> Step:
    """Whether `Total` is the number of followers that can be listed."""
    name = f"{called}Total"
    if _cut_off(end, tolerance):
        return Step(name, State.SKIPPED, f"says {end.total}; the list ends before, see ceiling")
    if end.beyond:
        told = f"says {end.total}, but there are followers after that many"
        return Step(
            name,
            State.WARN,
            told,
            "Somebody may just have come: try again. Otherwise ask eSMS what Total counts.",
        )
    listed = end.reach if end.distinct is None else end.distinct
    if listed >= end.total:
        how = "all of them were listed" if end.distinct is not None else "the list ends there"
        return Step(name, State.OK, f"says {end.total}, and {how}")
    told = f"says {end.total}, but {listed} can be listed"
    if end.total - listed <= tolerated_gap(end.total, tolerance):
        return Step(name, State.WARN, told, "Nothing: within ETL_TOTAL_TOLERANCE.")
    return Step(
        name,
        State.WARN,
        told,
        "Syncs will be partial (total_gap). Ask eSMS; raise ETL_TOTAL_TOLERANCE if it stays so.",
    )


def ceiling(called: str, end: End, tolerance: float) -> Step:
    """Whether the listing has a ceiling, and whether it cuts this OA off."""
    name = f"{called}ceiling"
    if _cut_off(end, tolerance):
        how = (
            "eSMS refuses offsets beyond (162)"
            if end.refused
            else "eSMS answers with empty pages beyond"
        )
        told = f"only {end.reach} of Total {end.total} can be read: {how}"
        return Step(
            name,
            State.WARN,
            told,
            "A sync reads such an OA by windows of days (below); where they are not served it is partial (ceiling).",
        )
    if end.total == LARGEST_DOCUMENTED_OFFSET + 50:
        told = f"Total is {end.total}, just what the documented ceiling lets through"
        return Step(
            name,
            State.WARN,
            told,
            "Compare it with the follower count that Zalo shows: eSMS may be cutting it off.",
        )
    if end.total > LARGEST_DOCUMENTED_OFFSET:
        return Step(name, State.OK, f"none met: offset {end.total - 1} is served")
    return Step(name, State.OK, f"not relevant: Total is {end.total}")

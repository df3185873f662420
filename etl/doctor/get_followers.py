"""What the documentation of GetFollowers leaves open, by asking.

What decides takes values and gives a `Step`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from etl.db.engine import connect_engine, reading
from etl.doctor.step import State, Step, failed, of_oa
from etl.doctor.windows import Known, learn, of_last_night, of_windows
from etl.errors import EtlError, FaultError, OffsetRefusedError
from etl.model import Change
from etl.sync.chain import LARGEST_DOCUMENTED_OFFSET
from etl.sync.guard import tolerated_gap
from etl.sync.read import WINDOW_ZONE
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep
from etl.texts import phrase

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
    """Where a list ends.

    `total` is its `Total`, `reach` the index after its last user, `refused` whether the server
    refused to go on (162).
    """

    total: int
    reach: int
    refused: bool
    beyond: int = 0
    """Users served at offset Total, where there should be none."""

    distinct: int | None = None
    """Different users, where the list was short enough to be read whole."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What GetFollowers showed of an OA.

    `total` is its `Total`, `users` everybody (None if the list is too long to be read whole), `cut`
    whether eSMS shows only a part.
    """

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
    asked = settings.esms_page_size
    try:
        head = client.page(oaid, 0)
    except EtlError as error:
        yield failed(of_oa(oaid, phrase("doctor.what.page_length")), error)
        return
    lists[oaid] = Listed(head.total)
    yield page_length(oaid, asked, head)
    rest = of_oa(oaid, phrase("doctor.what.rest"))
    if len(head.users) < 2:  # noqa: PLR2004 - two users have an order, and half of them is less
        yield Step(rest, State.SKIPPED, phrase("doctor.too_few", total=str(head.total)))
        return
    try:
        yield order(oaid, head, client.page(oaid, 0))
        fewer = len(head.users) // 2
        by_count, by_limit = (
            _page_by(client, oaid, count=fewer),
            _page_by(client, oaid, limit=fewer),
        )
        yield counting(oaid, fewer, by_count, by_limit)
        users: set[str] = set()

        def fetch(offset: int) -> Page:
            page = client.page(oaid, offset)
            users.update(page.users)
            return page

        end = _end(fetch, head, tolerance)
        whole = frozenset(users) if end.distinct is not None else None
        cut = _cut_off(end, tolerance) or end.total == LARGEST_DOCUMENTED_OFFSET + 50
        lists[oaid] = Listed(head.total, whole, cut)
        yield listing(oaid, end, tolerance)
        yield ceiling(oaid, end, tolerance)
    except EtlError as error:
        yield failed(rest, error)


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
    try:
        for step in learn(partial(client.users_between, oaid), known, today):
            yield replace(step, what=of_oa(oaid, of_windows(step.what)))
    except EtlError as error:
        yield failed(of_oa(oaid, of_windows(phrase("doctor.what.rest"))), error)


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


def page_length(oaid: str, asked: int, head: Page) -> Step:
    """How many followers a page really holds."""
    what, given = of_oa(oaid, phrase("doctor.what.page_length")), len(head.users)
    found = phrase(
        "doctor.page_length.got", asked=str(asked), given=str(given), total=str(head.total)
    )
    if given in {asked, head.total}:
        return Step(what, State.OK, found)
    if given > asked:
        found = phrase("doctor.page_length.ignored", asked=str(asked), given=str(given))
        return Step(what, State.WARN, found)
    if given:
        todo = phrase("doctor.page_length.less_todo", given=str(given))
        return Step(what, State.WARN, found, todo)
    found = phrase("doctor.page_length.empty", total=str(head.total))
    return Step(what, State.WARN, found, phrase("doctor.page_length.empty_todo"))


def _page_by(
    client: EsmsClient, oaid: str, *, count: int | None = None, limit: int | None = None
) -> Page | None:
    """A page asked for with one of the two members; None where eSMS calls that wrong."""
    try:
        return client.page_of(oaid, 0, count=count, limit=limit)
    except (OffsetRefusedError, FaultError):
        return None


def counting(oaid: str, fewer: int, by_count: Page | None, by_limit: Page | None) -> Step:
    """Which member of the request says how many followers a page holds.

    We send both, so that either may.
    """
    heeded = [
        name
        for name, page in (("Count", by_count), ("Limit", by_limit))
        if page is not None and len(page.users) == fewer
    ]
    what = of_oa(oaid, phrase("doctor.what.count"))
    if len(heeded) == 1:
        return Step(what, State.OK, phrase("doctor.count.one", member=heeded[0]))
    if heeded:
        return Step(what, State.OK, phrase("doctor.count.both"))
    found = phrase("doctor.count.neither", asked=str(fewer))
    return Step(what, State.WARN, found, phrase("doctor.count.todo"))


def order(oaid: str, first: Page, second: Page) -> Step:
    """Whether two readings of the head, one right after the other, keep their order."""
    what = of_oa(oaid, phrase("doctor.what.order"))
    before = [user for user in first.users if user in set(second.users)]
    after = [user for user in second.users if user in set(first.users)]
    if before and before == after:
        same = first.users == second.users
        found = phrase("doctor.order.same") if same else phrase("doctor.order.moved")
        return Step(what, State.OK, found)
    found = phrase("doctor.order.other") if before else phrase("doctor.order.nobody")
    return Step(what, State.WARN, found, phrase("doctor.order.todo"))


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


def listing(oaid: str, end: End, tolerance: float) -> Step:
    """Whether `Total` is the number of followers that can be listed."""
    what = of_oa(oaid, phrase("doctor.what.total"))
    if _cut_off(end, tolerance):
        return Step(what, State.SKIPPED, phrase("doctor.total.cut", total=str(end.total)))
    if end.beyond:
        found = phrase("doctor.total.beyond", total=str(end.total))
        return Step(what, State.WARN, found, phrase("doctor.total.beyond_todo"))
    listed = end.reach if end.distinct is None else end.distinct
    if listed >= end.total:
        found = (
            phrase("doctor.total.ends", total=str(end.total))
            if end.distinct is None
            else phrase("doctor.total.all", total=str(end.total))
        )
        return Step(what, State.OK, found)
    found = phrase("doctor.total.fewer", total=str(end.total), listed=str(listed))
    if end.total - listed <= tolerated_gap(end.total, tolerance):
        return Step(what, State.WARN, found, phrase("doctor.total.tolerated_todo"))
    return Step(what, State.WARN, found, phrase("doctor.total.fewer_todo"))


def ceiling(oaid: str, end: End, tolerance: float) -> Step:
    """Whether the listing has a ceiling, and whether it cuts this OA off."""
    what = of_oa(oaid, phrase("doctor.what.ceiling"))
    if _cut_off(end, tolerance):
        found = (
            phrase("doctor.ceiling.refused", reach=str(end.reach), total=str(end.total))
            if end.refused
            else phrase("doctor.ceiling.empty", reach=str(end.reach), total=str(end.total))
        )
        return Step(what, State.WARN, found, phrase("doctor.ceiling.cut_todo"))
    if end.total == LARGEST_DOCUMENTED_OFFSET + 50:
        found = phrase("doctor.ceiling.exactly", total=str(end.total))
        return Step(what, State.WARN, found, phrase("doctor.ceiling.exactly_todo"))
    if end.total > LARGEST_DOCUMENTED_OFFSET:
        return Step(what, State.OK, phrase("doctor.ceiling.none", offset=str(end.total - 1)))
    return Step(what, State.OK, phrase("doctor.ceiling.small", total=str(end.total)))

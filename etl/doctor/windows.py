"""What nobody documents of QueryListUID, asked on one OA in 60 requests at most.

It reads only, and gives counts only: no User_Id is shown. What decides takes values and gives a
`Step`; `learn` asks. Why it matters: docs/decisions/0007-windows.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select

from etl.db.tables import follower_changes, snapshots
from etl.doctor.step import State, Step
from etl.errors import (
    BadRequestError,
    FaultError,
    OffsetRefusedError,
    UndocumentedCodeError,
)
from etl.model import Change, Page, Status, Window
from etl.sync.window_reader import NOT_SERVED
from etl.sync.windows import DAY, OLDEST, REACH, Pair, halve, old_part
from etl.texts import Phrase, phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from etl.errors import EtlError

MOST_REQUESTS = 60

READINGS = 6
"""How often the first page of a window is read, to compare the orders."""

RECENT_PAGES = 3
"""Of those who acted since yesterday."""

LOOK_BACK_DAYS = 7
"""So many days are counted one by one, today the last."""


class Ask(Protocol):
    """QueryListUID of one OA."""

    def __call__(
        self, window: Window, offset: int, *, count: int = 50, follower: bool = True
    ) -> Page:
        """The page of a window at an offset."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the doctor knows of an OA when it begins to ask.

    Attributes:
        cut: whether GetFollowers lists only a part of the OA.
        total: asks for it now.
        users: everybody whom GetFollowers lists, where the list was short enough to be read whole.
        left, arrived: whom the last complete snapshot found gone, and new; empty where it is older
            than two days.
    """

    cut: bool
    total: Callable[[], int]
    users: frozenset[str] | None = None
    left: frozenset[str] = frozenset()
    arrived: frozenset[str] = frozenset()


class _EnoughAskedError(Exception):
    """The bound on requests is reached."""


class _Questions:
    """Counts what is asked; one request is GetFollowers'."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.left = MOST_REQUESTS - 1

    def page(
        self, window: Window, offset: int = 0, *, count: int = 50, follower: bool = True
    ) -> Page:
        if not self.left:
            raise _EnoughAskedError
        self.left -= 1
        return self._ask(window, offset, count=count, follower=follower)

    def total(self, window: Window) -> int:
        return self.page(window, count=1).total

    def users(self, window: Window, *, pages: int, follower: bool = True) -> tuple[set[str], bool]:
        """Who is listed on the first pages, and whether that is everybody."""
        users: set[str] = set()
        offset = 0
        for _ in range(pages):
            page = self.page(window, offset, follower=follower)
            users.update(page.users)
            if not page.users or page.end >= page.total:
                return users, True
            offset = page.end
        return users, False


def learn(ask: Ask, known: Known, today: date) -> Iterator[Step]:
    """Ask what is left open, the most important first; stops at 60 requests.

    Args:
        ask: QueryListUID of the OA.
        known: what is known of the OA.
        today: the date in the zone of windows.

    Raises:
        EtlError: the keys or the IP address are refused, or time is up.
    """
    questions = _Questions(ask)
    try:
        span = _widest(questions, today)
    except NOT_SERVED as error:
        yield _not_served(error, needed=known.cut)
        return
    found = phrase("doctor.served.yes", days=span.days)
    yield Step(phrase("doctor.what.served"), State.OK, found)
    try:
        yield from _asked(questions, known, span, today)
    except _EnoughAskedError:
        found = phrase("doctor.enough_asked", requests=MOST_REQUESTS)
        yield Step(phrase("doctor.what.rest"), State.SKIPPED, found)


def _asked(questions: _Questions, known: Known, span: Window, today: date) -> Iterator[Step]:
    everybody = questions.total(span)
    yield dated(known.total(), everybody)
    yield future(_future(questions, span, today), everybody)
    split, pair = _descend(questions, old_part(today, span.first))
    yield meaning(split)
    yield bounds(pair)
    yield order([questions.page(span).users for _ in range(READINGS)])
    if everybody >= REACH:
        yield _reach(questions, span, everybody)
        days = [questions.total(Window(day, day)) for day in _last_days(today)]
        yield crowded(days)
    if known.users is not None:
        pages = -(-len(known.users) // 40)
        listed, whole_list = questions.users(span, pages=pages)
        yield same_people(known.users, listed, whole=whole_list)
    recent = Window(today - DAY, today)
    for what, users, follower in (
        (phrase("doctor.what.leaving"), known.left, False),
        (phrase("doctor.what.following"), known.arrived, True),
    ):
        if users:
            listed, whole_list = questions.users(recent, pages=RECENT_PAGES, follower=follower)
            yield interaction(what, len(users), len(users & listed), whole=whole_list)


def _widest(questions: _Questions, today: date) -> Window:
    """The longest span of years up to today that is taken."""
    refusal: FaultError | None = None
    for year in (OLDEST.year, today.year - 5, today.year - 1):
        span = Window(OLDEST.replace(year=year), today)
        try:
            questions.total(span)
        except FaultError as error:
            refusal = error
        else:
            return span
    assert refusal is not None  # noqa: S101 - the loop ran
    raise refusal


def _future(questions: _Questions, span: Window, today: date) -> int | None:
    try:
        return questions.total(Window(span.first, today + 2 * DAY))
    except FaultError:
        return None


def _descend(
    questions: _Questions, window: Window
) -> tuple[tuple[int, int, int] | None, Pair | None]:
    """Halve a window down to two neighbouring days, into the fuller half.

    Returns:
        The Totals of the first window of which both halves hold users, and of these halves; and
        those of the two days. None where there are none.
    """
    split = None
    if not (total := questions.total(window)):
        return None, None
    while window.days > 2:  # noqa: PLR2004 - a pair is two days
        one, other = halve(window)
        part = questions.total(one)
        if split is None and 0 < part < total:
            split = (total, part, questions.total(other))
        window, total = (one, part) if part * 2 >= total else (other, total - part)
    if window.days == 1:
        window = Window(window.first - DAY, window.first)
    first, second = Window(window.first, window.first), Window(window.last, window.last)
    asked = (first, second, window, first, second)
    return split, Pair(*(questions.total(each) for each in asked))


def _reach(questions: _Questions, span: Window, everybody: int) -> Step:
    """How far a window that holds more than the documented limit is listed."""
    try:
        page = questions.page(span, REACH - 50)
        beyond = questions.page(span, REACH) if page.users else page
    except (OffsetRefusedError, UndocumentedCodeError, BadRequestError):
        return reach(everybody, served=None)
    return reach(everybody, served=bool(beyond.users))


def _last_days(today: date) -> list[date]:
    return [today - timedelta(days=age) for age in range(LOOK_BACK_DAYS)]


# -- what the answers mean ----------------------------------------------------------------------


def of_windows(what: Phrase) -> Phrase:
    """What was looked at of windows."""
    return phrase("doctor.of_windows", what=what)


def _not_served(error: EtlError, *, needed: bool) -> Step:
    """QueryListUID is not to be had."""
    what = phrase("doctor.what.served")
    if not needed:
        return Step(what, State.OK, phrase("doctor.served.not_needed", error=error))
    found = phrase("doctor.served.no", error=error)
    return Step(what, State.WARN, found, phrase("doctor.served.todo"))


def dated(followers: int, everybody: int) -> Step:
    """Whether everybody who follows has a day."""
    what = phrase("doctor.what.dated")
    if followers == everybody:
        return Step(what, State.OK, phrase("doctor.dated.all", followers=followers))
    found = phrase("doctor.dated.fewer", followers=followers, everybody=everybody)
    return Step(what, State.WARN, found, phrase("doctor.dated.todo"))


def future(total: int | None, everybody: int) -> Step:
    """Whether a window may end after today."""
    what = phrase("doctor.what.future")
    if total is None:
        return Step(what, State.OK, phrase("doctor.future.refused"))
    if not total and everybody:
        return Step(what, State.OK, phrase("doctor.future.nobody"))
    return Step(what, State.OK, phrase("doctor.future.served"))


def meaning(split: tuple[int, int, int] | None) -> Step:
    """Whether a user is listed by the last interaction, or by each of them."""
    what = phrase("doctor.what.day")
    if split is None:
        return Step(what, State.SKIPPED, phrase("doctor.day.unknown"))
    whole, left, right = split
    counts = phrase("doctor.day.counts", left=left, right=right, whole=whole)
    if left + right == whole:
        return Step(what, State.OK, phrase("doctor.day.one", counts=counts))
    if left + right > whole:
        return Step(what, State.OK, phrase("doctor.day.each", counts=counts))
    found = phrase("doctor.day.between", counts=counts)
    return Step(what, State.WARN, found, phrase("doctor.day.todo"))


def bounds(pair: Pair | None) -> Step:
    """Whether a window includes its first and its last day."""
    what = phrase("doctor.what.bounds")
    if pair is None:
        return Step(what, State.SKIPPED, phrase("doctor.bounds.unknown"))
    counts = phrase("doctor.bounds.counts", first=pair.first, second=pair.second, both=pair.both)
    if pair.proves_bounds:
        return Step(what, State.OK, phrase("doctor.bounds.included", counts=counts))
    return Step(what, State.OK, phrase("doctor.bounds.unproven", counts=counts))


def order(readings: Sequence[tuple[str, ...]]) -> Step:
    """Whether the same window is listed in the same order each time."""
    what, different = phrase("doctor.what.window_order"), len(set(readings))
    if different == 1:
        return Step(what, State.OK, phrase("doctor.window_order.same", readings=len(readings)))
    found = phrase("doctor.window_order.other", different=different, readings=len(readings))
    return Step(what, State.WARN, found, phrase("doctor.window_order.todo"))


def reach(everybody: int, *, served: bool | None) -> Step:
    """How far one listing goes; `served` is None where the offset was refused."""
    what = phrase("doctor.what.reach")
    if everybody == REACH:
        found = phrase("doctor.reach.exactly", reach=REACH)
        return Step(what, State.WARN, found, phrase("doctor.reach.todo"))
    if served:
        return Step(what, State.OK, phrase("doctor.reach.none", reach=REACH, everybody=everybody))
    if served is None:
        found = phrase("doctor.reach.refused", reach=REACH, everybody=everybody)
    else:
        found = phrase("doctor.reach.nobody", reach=REACH, everybody=everybody)
    return Step(what, State.OK, found)


def crowded(totals: Sequence[int]) -> Step:
    """Whether some day holds more users than one listing shows."""
    what, days = phrase("doctor.what.crowded"), len(totals)
    above = sum(total >= REACH for total in totals)
    if not above:
        return Step(what, State.OK, phrase("doctor.crowded.none", days=days, most=max(totals)))
    found = phrase("doctor.crowded.some", above=above, days=days, reach=REACH)
    return Step(what, State.WARN, found, phrase("doctor.crowded.todo"))


def same_people(users: frozenset[str], listed: set[str], *, whole: bool) -> Step:
    """Whether windows show whom GetFollowers shows."""
    what = phrase("doctor.what.same_people")
    if not whole:
        return Step(what, State.SKIPPED, phrase("doctor.same_people.part", listed=len(listed)))
    missed, more = len(users - listed), len(listed - users)
    if not missed and not more:
        return Step(what, State.OK, phrase("doctor.same_people.ok", users=len(users)))
    found = phrase("doctor.same_people.other", missed=missed, more=more)
    return Step(what, State.WARN, found, phrase("doctor.same_people.todo"))


def interaction(what: Phrase, of: int, found: int, *, whole: bool) -> Step:
    """Whether leaving (following) is an interaction: do those of last night have a recent day?"""
    counts = phrase("doctor.interaction.counts", found=found, of=of)
    if found:
        return Step(what, State.OK, phrase("doctor.interaction.day", counts=counts))
    if not whole:
        return Step(what, State.SKIPPED, phrase("doctor.interaction.unknown", counts=counts))
    return Step(what, State.OK, phrase("doctor.interaction.no_day", counts=counts))


# -- what our own tables know -------------------------------------------------------------------


def of_last_night(
    connection: Connection, oaid: str, change: Change, *, since: date, most: int = 500
) -> frozenset[str]:
    """Whom the OA's last complete snapshot found gone, or new, if it is of that day or later."""
    last = (
        select(snapshots.c.id)
        .where(
            snapshots.c.oaid == oaid,
            snapshots.c.status == Status.COMPLETE,
            snapshots.c.taken_on >= since,
        )
        .order_by(snapshots.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    log = follower_changes.c
    users = select(log.user_id).where(
        log.oaid == oaid, log.snapshot_id == last, log.change == change
    )
    return frozenset(connection.scalars(users.limit(most)))

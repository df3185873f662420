"""What the doctor asks about QueryListUID: what nobody documents, on one OA, in 60 requests at most.

It reads only, and gives counts only: no User_Id is shown. What decides takes values and gives a
`Finding`; `learn` asks. Why it matters: docs/decisions/0007-windows.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import select

from etl.db.tables import follower_changes, snapshots
from etl.errors import (
    BadRequestError,
    FaultError,
    OffsetRefusedError,
    UndocumentedCodeError,
)
from etl.model import Change, Page, Status, Window
from etl.sync.window_reader import NOT_SERVED
from etl.sync.windows import DAY, OLDEST, REACH, Pair, halve, old_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from sqlalchemy import Connection

    from etl.errors import EtlError

MOST_REQUESTS = 60
READINGS = 6
RECENT_PAGES = 3
"""Of those who acted since yesterday."""

LOOK_BACK_DAYS = 7


class Ask(Protocol):
    """QueryListUID of one OA."""

    def __call__(
        self, window: Window, offset: int, *, count: int = 50, follower: bool = True
    ) -> Page:
        """The page of a window at an offset."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was learned. `state` is ok, warn or skipped."""

    name: str
    state: str
    told: str
    advice: str = ""


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


def learn(ask: Ask, known: Known, today: date) -> Iterator[Finding]:
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
        yield not_served(error, needed=known.cut)
        return
    yield Finding("served", "ok", f"yes, {span.days:,} days in one window")
    try:
        yield from _asked(questions, known, span, today)
    except _EnoughAskedError:
        yield Finding("the rest", "skipped", f"{MOST_REQUESTS} requests were asked, no more are")


def _asked(questions: _Questions, known: Known, span: Window, today: date) -> Iterator[Finding]:
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
    for name, users, follower in (
        ("leaving", known.left, False),
        ("following", known.arrived, True),
    ):
        if users:
            listed, whole_list = questions.users(recent, pages=RECENT_PAGES, follower=follower)
            yield interaction(name, len(users), len(users & listed), whole=whole_list)


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


def _reach(questions: _Questions, span: Window, everybody: int) -> Finding:
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


def not_served(error: EtlError, *, needed: bool) -> Finding:
    """QueryListUID is not to be had."""
    if not needed:
        return Finding("served", "ok", f"no ({error}); an OA that can be listed whole needs none")
    advice = "Ask eSMS to allow QueryListUID for this account: without it, unfollows are not known."
    return Finding("served", "warn", f"no ({error})", advice)


def dated(followers: int, everybody: int) -> Finding:
    """Whether everybody who follows has a day."""
    name = "everybody has a day"
    if followers == everybody:
        return Finding(name, "ok", f"all {followers:,} followers do")
    told = f"GetFollowers counts {followers:,}, all windows together {everybody:,}"
    advice = "Nights on which somebody is missing will be partial (undated), where it stays so."
    return Finding(name, "warn", told, advice)


def future(total: int | None, everybody: int) -> Finding:
    """Whether a window may end after today."""
    name = "days to come"
    if total is None:
        return Finding(name, "ok", "are refused: windows end today")
    if not total and everybody:
        return Finding(name, "ok", "are answered with nobody: windows end today")
    return Finding(name, "ok", "may be asked for")


def meaning(split: tuple[int, int, int] | None) -> Finding:
    """Whether a user is listed by the last interaction, or by each of them."""
    name = "a user's day"
    if split is None:
        return Finding(name, "skipped", "not learned: no window has users in both of its halves")
    whole, left, right = split
    told = f"two halves hold {left:,} and {right:,}, the whole {whole:,}"
    if left + right == whole:
        return Finding(name, "ok", f"is one, that of the last interaction ({told})")
    if left + right > whole:
        return Finding(name, "ok", f"is each day of interaction ({told})")
    advice = "Days may fall between windows: each is asked with a day more on either side."
    return Finding(name, "warn", f"falls between windows, or users moved ({told})", advice)


def bounds(pair: Pair | None) -> Finding:
    """Whether a window includes its first and its last day."""
    name = "first and last day"
    if pair is None:
        return Finding(name, "skipped", "nobody acted before yesterday")
    told = f"two neighbouring days hold {pair.first:,} and {pair.second:,}, both {pair.both:,}"
    if pair.proves_bounds:
        return Finding(name, "ok", f"are included ({told})")
    return Finding(
        name, "ok", f"not proven to be included ({told}): windows are asked a day longer"
    )


def order(readings: Sequence[tuple[str, ...]]) -> Finding:
    """Whether the same window is listed in the same order each time."""
    name = "order of a window"
    different = len(set(readings))
    if different == 1:
        return Finding(name, "ok", f"the same in {len(readings)} readings")
    told = f"{different} different pages in {len(readings)} readings of the same one"
    advice = "Windows will be read more than once; where they never agree the night is torn."
    return Finding(name, "warn", told, advice)


def reach(everybody: int, *, served: bool | None) -> Finding:
    """How far one listing goes; `served` is None where the offset was refused."""
    name = "ceiling of a window"
    if everybody == REACH:
        advice = "It may be a limit and no count: such nights are partial (undated)."
        return Finding(name, "warn", f"Total is exactly {REACH:,}", advice)
    if served:
        return Finding(name, "ok", f"none met at {REACH:,} of {everybody:,}")
    how = "refused" if served is None else "answered with nobody"
    return Finding(name, "ok", f"as documented: beyond {REACH:,} of {everybody:,} it is {how}")


def crowded(totals: Sequence[int]) -> Finding:
    """Whether some day holds more users than one listing shows."""
    name = "crowded days"
    above = sum(total >= REACH for total in totals)
    if not above:
        return Finding(name, "ok", f"none of the last {len(totals)}; the fullest: {max(totals):,}")
    told = f"{above} of the last {len(totals)} days hold {REACH:,} users or more"
    advice = "Nights are partial (crowded_day) until those users act again; spread broadcasts out."
    return Finding(name, "warn", told, advice)


def same_people(users: frozenset[str], listed: set[str], *, whole: bool) -> Finding:
    """Whether windows show whom GetFollowers shows."""
    name = "the same people"
    if not whole:
        return Finding(name, "skipped", f"only {len(listed):,} of them were read")
    missed, more = len(users - listed), len(listed - users)
    if not missed and not more:
        return Finding(name, "ok", f"GetFollowers and windows list the same {len(users):,}")
    told = f"{missed:,} only by GetFollowers, {more:,} only by windows"
    advice = "Somebody may just have come or gone: try again. Otherwise ask eSMS."
    return Finding(name, "warn", told, advice)


def interaction(name: str, of: int, found: int, *, whole: bool) -> Finding:
    """Whether leaving, or following, is an interaction: do those of last night have a recent day?"""
    ing = f"{name} an OA"
    told = f"{found:,} of the {of:,} of the last complete snapshot are listed since yesterday"
    if found:
        return Finding(ing, "ok", f"gives a day ({told})")
    if not whole:
        return Finding(ing, "skipped", f"not learned: too many acted since yesterday ({told})")
    return Finding(ing, "ok", f"gives no day ({told})")


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

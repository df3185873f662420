"""The doctor: step by step, what works, what does not, and what to do about it; then what eSMS leaves undocumented, by asking.

It changes nothing: no snapshot, no database, no row that stays. What decides (`page_length`,
`counting`, `order`, `listing`, `ceiling`) takes values and gives a `Step`; what asks decides
nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from etl.db.catalogue import EMPTY
from etl.db.engine import connect_engine, reading
from etl.db.health import clock_ahead, try_creating, try_writing
from etl.db.schema import HEAD, current_revision, require_current
from etl.doctor_windows import Known, learn, of_last_night
from etl.errors import (
    EtlError,
    FaultError,
    NoDatabaseError,
    OffsetRefusedError,
    RefusedError,
    SettingsError,
)
from etl.esms.client import EsmsClient, esms_route
from etl.esms.reach import connect, reach_proxy, resolve, silent
from etl.model import Change
from etl.observe.metrics import try_writing as try_metrics
from etl.observe.ping import try_pinging
from etl.settings import ALL, TOTAL_TOLERANCE, database_settings, esms_settings, sync_settings
from etl.sync.chain import LARGEST_DOCUMENTED_OFFSET
from etl.sync.guard import tolerated_gap
from etl.sync.read import WINDOW_ZONE
from etl.sync.spool import Spool
from etl.sync.sweep import SweepLimits, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from sqlalchemy import Engine

    from etl.model import Account, Page
    from etl.settings import DatabaseSettings, EsmsSettings, Settings

CLOCK_SECONDS = 5.0
"""Clocks may differ by so much before it is worth a word."""

CERTIFICATE_DAYS = 14

READ_WHOLE_PAGES = 20
"""A list of so many pages is read whole; of a longer one, the end is asked for."""

ATTEMPTS = 2
"""Tries a request: the doctor tells of a fault rather than wait for it to pass."""

SECONDS = 600.0
"""How long the doctor may take in all."""


class State(StrEnum):
    """How a step went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at: how it went, what was found, and what to do. `exit_code` is 0 unless it failed."""

    name: str
    state: State
    told: str
    advice: str = ""
    exit_code: int = 0


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


def examine(chosen: Sequence[str]) -> Iterator[Step]:
    """Look at everything, one step after the other; go on after a failed one where sense remains.

    Args:
        chosen: the OAs to look at; ESMS_OAIDS where it is empty.
    """
    step, settings = _settings(chosen)
    yield step
    yield from _database(settings)
    if settings is not None:
        yield from _notifying(settings)
    yield from _esms(settings, chosen)


def _settings(chosen: Sequence[str]) -> tuple[Step, Settings | None]:
    try:
        settings = sync_settings()
    except SettingsError as error:
        return failed("settings", error), None
    if not chosen and not settings.esms_oaids:
        missing = SettingsError(
            ["ESMS_OAIDS is missing: set it to your OAIDs, comma-separated, or to `all`"]
        )
        return failed("settings", missing), settings
    return Step(
        "settings",
        State.OK,
        f"all there; ESMS_OAIDS names {', '.join(settings.esms_oaids) or 'nobody'}",
    ), settings


def failed(name: str, error: EtlError) -> Step:
    """The step that an error ended."""
    return Step(name, State.FAIL, str(error), error.hint, error.exit_code)


# -- the database -------------------------------------------------------------------------------------------------------


def _database(settings: DatabaseSettings | None) -> Iterator[Step]:
    name = "database: reachable"
    try:
        url = (settings or database_settings()).database_url
        engine = connect_engine(url, create=False)
        revision = current_revision(engine)
    except NoDatabaseError as error:
        yield _no_file(name, str(make_url(url.get_secret_value()).database), error)
        return
    except SettingsError as error:
        # Told already, with all other settings.
        yield (
            failed(name, error)
            if settings is not None
            else Step(name, State.SKIPPED, "its settings are wrong")
        )
        return
    except EtlError as error:
        yield failed(name, error)
        return
    yield Step(
        name,
        State.OK,
        make_url(url.get_secret_value()).set(query={}).render_as_string(hide_password=True),
    )
    yield _migrated(engine, revision)
    if revision == EMPTY:
        yield _tried(
            "database: writable",
            partial(try_creating, engine),
            "its tables may be created, and all that a sync writes; rolled back",
        )
    elif revision != HEAD:
        yield Step("database: writable", State.SKIPPED, "its tables are not there, or not ours")
    else:
        yield _tried(
            "database: writable",
            partial(try_writing, engine),
            "all that a sync writes, rolled back",
        )
    try:
        yield clock(clock_ahead(engine, lambda: datetime.now(UTC)))
    except EtlError as error:
        yield failed("database: clock", error)


def _no_file(name: str, path: str, error: EtlError) -> Step:
    if Path(path).absolute().parent.is_dir():
        return Step(
            name,
            State.WARN,
            f"{error}, yet",
            "The first `etl sync` creates it; check the directory you are in.",
        )
    return Step(
        name,
        State.FAIL,
        f"{error}, and no such directory",
        "Check DATABASE_URL, or make the directory.",
        error.exit_code,
    )


def _migrated(engine: Engine, revision: str) -> Step:
    name = "database: tables"
    if revision == EMPTY:
        return Step(name, State.WARN, "none yet", "The first `etl sync` creates them.")
    return _tried(name, lambda: require_current(engine), f"current (revision {revision})")


def _tried(name: str, attempt: Callable[[], object], told: str) -> Step:
    try:
        attempt()
    except EtlError as error:
        return failed(name, error)
    return Step(name, State.OK, told)


def clock(ahead: float) -> Step:
    """Whether the database's clock and ours agree: ours dates the snapshots, the database's ends the leases."""
    told = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= CLOCK_SECONDS:
        return Step(
            "database: clock", State.OK, told if abs(ahead) > 1 else "the same as this machine's"
        )
    return Step(
        "database: clock",
        State.WARN,
        told,
        "Let both machines keep time by NTP; snapshots are dated by this one.",
    )


# -- who is notified ----------------------------------------------------------------------------------------------------


def _notifying(settings: Settings) -> Iterator[Step]:
    """Neither of them makes a sync fail: without a word from here, nobody would miss them."""
    if (path := settings.etl_metrics_file) is not None:
        try:
            try_metrics(path)
            yield Step("metrics", State.OK, f"{path} can be written")
        except OSError as error:
            told = f"{path} cannot be written: {error.strerror or error}"
            advice = "Check ETL_METRICS_FILE, and that its directory lets this user write."
            yield Step("metrics", State.WARN, told, advice)
    if settings.etl_ping_url is not None:
        trouble = try_pinging(settings.etl_ping_url)
        if trouble is None:
            yield Step("ping", State.OK, "ETL_PING_URL answers")
        else:
            told = f"ETL_PING_URL does not take a ping: {trouble}"
            yield Step("ping", State.WARN, told, "Check it, and the way out of this network.")


# -- eSMS ---------------------------------------------------------------------------------------------------------------


def _esms(settings: Settings | None, chosen: Sequence[str]) -> Iterator[Step]:
    try:
        esms: EsmsSettings = settings or esms_settings()
    except SettingsError:
        yield Step("eSMS", State.SKIPPED, "its settings are wrong")
        return
    reached = True
    for step in _reached(esms):
        reached = reached and step.state is not State.FAIL
        yield step
    if not reached:
        yield Step("eSMS: keys", State.SKIPPED, "eSMS is not reached")
        return
    tolerance = settings.etl_total_tolerance if settings else TOTAL_TOLERANCE
    patience = esms.model_copy(update={"esms_max_attempts": min(ATTEMPTS, esms.esms_max_attempts)})
    with EsmsClient(patience, deadline=time.monotonic() + SECONDS) as client:
        try:
            listed = client.accounts()
        except EtlError as error:
            yield failed("eSMS: keys", error)
            return
        yield Step(
            "eSMS: keys",
            State.OK,
            f"accepted; OAs of the account: {', '.join(map(_named, listed)) or 'none'}",
        )
        lists: dict[str, _Listed] = {}
        for oaid in _asked_for(chosen, settings, listed):
            step = registered(oaid, listed)
            yield step
            # Asked all the same: what GetListZOA leaves out may be served.
            yield from _learned(client, oaid, patience, tolerance, lists)
        yield from _windows(client, settings, lists)


def _reached(settings: EsmsSettings) -> Iterator[Step]:
    try:
        route = esms_route(settings)
    except SettingsError as error:
        yield failed("eSMS: way", error)
        return
    if route.bundle:
        yield Step("eSMS: certificates", State.OK, f"{route.bundle} are trusted, and no others")
    if proxy := route.proxy:
        yield _tried("eSMS: proxy", partial(reach_proxy, proxy), f"{proxy} answers")
        return
    try:
        addresses = resolve(settings)
        yield Step("eSMS: name", State.OK, ", ".join(addresses))
    except EtlError as error:
        yield failed("eSMS: name", error)
        return
    try:
        connected = connect(settings, route.bundle)
    except EtlError as error:
        yield failed("eSMS: connection", error)
        return
    if deaf := silent(settings):
        yield Step(
            "eSMS: addresses",
            State.WARN,
            f"{', '.join(deaf)} did not answer, others did",
            "Syncs go on by the others, and lose a moment with each new connection. "
            "Ask whoever runs the network (often it is IPv6 that leads nowhere).",
        )
    if connected.days is None:
        yield Step("eSMS: connection", State.OK, "plain http, on this machine")
        return
    told = f"{connected.tls}, the certificate is valid for {connected.days} days"
    if connected.days >= CERTIFICATE_DAYS:
        yield Step("eSMS: connection", State.OK, told)
    else:
        yield Step(
            "eSMS: connection",
            State.WARN,
            told,
            "Tell eSMS, unless the certificate is a firewall's.",
        )


def _named(account: Account) -> str:
    return f"{account.oaid} ({account.name})" if account.name else account.oaid


def _asked_for(
    chosen: Sequence[str], settings: Settings | None, listed: Sequence[Account]
) -> list[str]:
    oaids = list(chosen) or list(settings.esms_oaids if settings else ())
    return (
        list(dict.fromkeys(account.oaid for account in listed))
        if oaids == [ALL]
        else list(dict.fromkeys(oaids))
    )


def registered(oaid: str, listed: Sequence[Account]) -> Step:
    """Whether GetListZOA names the OA."""
    name = f"OA {oaid}: registered"
    if any(account.oaid == oaid for account in listed):
        return Step(name, State.OK, "at eSMS, in this account")
    advice = "Check the OAID; a new OA must be registered at eSMS first."
    return Step(
        name,
        State.FAIL,
        "eSMS does not name it among this account's OAs",
        advice,
        RefusedError.exit_code,
    )


# -- what the documentation leaves open ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Listed:
    """What GetFollowers showed of an OA: its Total, everybody, where that is known, and whether it is cut."""

    total: int
    users: frozenset[str] | None = None
    cut: bool = False


def _windows(
    client: EsmsClient, settings: Settings | None, lists: dict[str, _Listed]
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


def _learned(
    client: EsmsClient,
    oaid: str,
    settings: EsmsSettings,
    tolerance: float,
    lists: dict[str, _Listed],
) -> Iterator[Step]:
    called = f"OA {oaid}: "
    asked = settings.esms_page_size
    try:
        head = client.page(oaid, 0)
    except EtlError as error:
        yield failed(f"{called}page length", error)
        return
    lists[oaid] = _Listed(head.total)
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
        lists[oaid] = _Listed(head.total, whole, cut)
        yield listing(called, end, tolerance)
        yield ceiling(called, end, tolerance)
    except EtlError as error:
        yield failed(f"{called}the rest", error)


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

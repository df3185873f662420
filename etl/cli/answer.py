"""What `etl sync` answers people: a sentence for each OA, and what to do if it is not complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.cli.output import printable
from etl.errors import EtlError, hint_of, trace
from etl.model import NO_COUNTS, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from etl.model import Snapshot
    from etl.sync.run import Outcome
    from etl.texts import Texts


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of an OA before.

    Attributes:
        last: its last complete snapshot before this run; None before the first.
        following: how many followed before this run.
    """

    last: Snapshot | None = None
    following: int = 0


def answer(outcome: Outcome, known: Known, say: Texts) -> list[str]:
    """The lines for one OA: a sentence, then what to do, if anything. Nothing in them is folded."""
    snapshot = outcome.snapshot
    oa = printable(outcome.name or f"OA {snapshot.oaid}")
    if outcome.error is not None:
        return list(_failed(oa, snapshot, outcome.error, say))
    if snapshot.status is Status.HELD:
        return _held(oa, snapshot, known, say)
    if snapshot.status is Status.PARTIAL:
        return [_partial(oa, snapshot, say), *reason(snapshot.reason, say)]
    return [_complete(oa, snapshot, known, say)]


def reason(code: str | None, say: Texts) -> list[str]:
    """A reason of `snapshots.reason` in words (or as it is, without any), and what to do."""
    if code is None:
        return []
    kind, _, detail = code.partition(": ")
    told = f"{say.error(detail.rstrip('.'))}." if detail else reason_in_words(kind, say)
    return [told, *advice(kind, say)]


def advice(kind: str, say: Texts) -> list[str]:
    """What to do about a reason of `snapshots.reason`, by its word; empty if there is nothing."""
    if say.has(f"advice.{kind}"):
        return [say(f"advice.{kind}")]
    known = hint_of(kind)
    return [say.error(known)] if known else []


def reason_in_words(kind: str, say: Texts) -> str:
    """A reason without details as a sentence; its word where it has none."""
    words = say.reason(kind) or kind
    if words == kind:
        return kind
    return f"{words}." if words.startswith("eSMS") else f"{words[0].upper()}{words[1:]}."


def _complete(oa: str, snapshot: Snapshot, known: Known, say: Texts) -> str:
    counts = snapshot.counts or NO_COUNTS
    followers = say.count("followers", counts.following)
    if known.last is None:
        return say("sync.first", oa=oa, followers=followers)
    since = _since(known.last.taken_on, snapshot.taken_on, say)
    changes = _changes(snapshot, say)
    return say("sync.complete", oa=oa, followers=followers, changes=changes, since=since)


def _partial(oa: str, snapshot: Snapshot, say: Texts) -> str:
    total, seen = snapshot.total or 0, snapshot.seen or 0
    changes = _changes(snapshot, say, unfollowed=False)
    if seen >= total:
        followers = say.count("followers", seen)
        return say("sync.partial_all", oa=oa, followers=followers, changes=changes)
    ceiling = snapshot.reason == Reason.CEILING
    key = "sync.ceiling" if ceiling else "sync.partial"
    return say(key, oa=oa, seen=say.number(seen), total=say.number(total), changes=changes)


def _held(oa: str, snapshot: Snapshot, known: Known, say: Texts) -> list[str]:
    missing = (snapshot.counts or NO_COUNTS).unfollowed
    followers = say.count("followers", known.following or missing)
    sentence = (
        say("sync.held", oa=oa, missing=say.number(missing), followers=followers)
        if snapshot.seen
        else say("sync.held_empty", oa=oa, followers=followers)
    )
    command = f"  etl sync --oaid {snapshot.oaid} --allow-mass-unfollow"
    return [sentence, say("sync.held_advice"), command]


def _failed(oa: str, snapshot: Snapshot, error: EtlError, say: Texts) -> Iterator[str]:
    if snapshot.status is Status.BUSY:
        yield say("sync.busy", oa=oa)
    else:
        yield say("sync.failed", oa=oa, error=say.error(str(error).rstrip(".")))
    if error.hint:
        yield say.error(error.hint)
    if place := trace(error):
        yield f"where: {place}"


def _changes(snapshot: Snapshot, say: Texts, *, unfollowed: bool = True) -> str:
    """Such as "52 new, 3 returned, 25 left".

    Those who returned, and those who were found, are named only if there are any.
    """
    counts = snapshot.counts or NO_COUNTS
    told = [say.count("sync.new", counts.followed)]
    if counts.refollowed:
        told.append(say.count("sync.returned", counts.refollowed))
    if unfollowed:
        told.append(say.count("sync.left", counts.unfollowed))
    if counts.baseline:
        told.append(say.count("sync.found", counts.baseline))
    return ", ".join(told)


def _since(last: date, now: date, say: Texts) -> str:
    days = (now - last).days
    if days == 1:
        return say("since.yesterday")
    return say("since.today") if days == 0 else say("since.day", day=say.day(last))

"""Every figure of a report once more: from sets of users by the words of docs/reports.md, without
our tables, our SQL, or a line of `etl.reports`.

`recounted` has the shape of `etl report --format json`.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import groupby, pairwise
from math import exp, log, sqrt
from typing import TYPE_CHECKING, Any

from histories import Expected, Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DAY = timedelta(days=1)

Figures = dict[str, Any]


def recounted(readings: Sequence[Reading], oaid: str, by: str, today: date) -> Figures:
    """The report of one OA over all that was read of it, and of the others beside it."""
    return _Recount(readings, oaid, today).figures(by)


def days_from(first: date, last: date) -> list[date]:
    """Both included."""
    return [first + number * DAY for number in range((last - first).days + 1)]


def month_end(day: date) -> date:
    """The last day of its month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def cut(first: date, last: date, by: str) -> Iterator[tuple[date, date]]:
    """The calendar's days, weeks or months of a time, cut by its ends."""

    def key(day: date) -> object:
        return {"day": day, "week": day.isocalendar()[:2], "month": (day.year, day.month)}[by]

    for _, some in groupby(days_from(first, last), key=key):
        days = list(some)
        yield days[0], days[-1]


class _Recount:
    def __init__(self, readings: Sequence[Reading], oaid: str, today: date) -> None:
        self.expected = expected = Expected(readings, oaid)
        self.runs, self.applied, self.today = expected.readings, expected.applied, today
        self.first = self.applied[0].day
        self.last = max(each.day for each in self.runs)
        self.until = max(each.day for each in readings)
        self.run_days = sorted({each.day for each in self.runs})
        steps = sorted((after - before).days for before, after in pairwise(self.run_days))
        self.usual = steps[(len(steps) - 1) // 2]
        self.whole = sorted({each.day for each in self.applied if each.status == "complete"})

    def figures(self, by: str) -> Figures:
        periods = [self.period(*each, by) for each in cut(self.first, self.last, by)]
        total = self.period(self.first, self.last, by)
        at_start = frozenset[str]().union(*map(self.expected.baseline, range(len(self.applied))))
        last, before = self.windows()
        return {
            "oaid": self.expected.oaid, "by": by, "span": {"first": self.first, "last": self.last},
            "observed_since": self.first, "days_seen": len(self.whole),
            "last_complete_at": [each.at for each in self.applied if each.status == "complete"][-1],
            "last_seen": len(self.applied[-1].seen), "last_total": len(self.applied[-1].seen),
            "last_30_days": last, "before_30_days": before, "total": total, "periods": periods,
            "bars": periods, "bars_by": by,
            "left_share": len(at_start - self.expected.after[-1]) / len(at_start),
            "there_at_start": self.cohort(at_start, self.first),
            "curve": self.curve(), "curve_gaps": self.gaps(self.whole),
            "cohorts": self.cohorts(), "last_month_open": self.last != month_end(self.last),
            "survival": self.survival(), "stays": self.stays(), "recent": self.recent(),
            "unseen": self.unseen(),
        }  # fmt: skip

    def inside(self, first: date, last: date) -> list[int]:
        return [at for at, each in enumerate(self.applied) if first <= each.day <= last]

    def followers_before(self, day: date) -> frozenset[str]:
        return self.expected.before(sum(each.day < day for each in self.applied))

    def period(self, first: date, last: date, by: str) -> Figures:
        expected, inside = self.expected, self.inside(first, last)
        start = len(self.followers_before(first))
        baseline = sum(len(expected.baseline(at)) for at in inside)
        followed = sum(len(expected.followed(at)) for at in inside)
        refollowed = sum(len(expected.refollowed(at)) for at in inside)
        complete = sum(self.applied[at].status == "complete" for at in inside)
        left = sum(len(expected.gone(at)) for at in inside) if complete else None
        net = None if left is None else followed + refollowed - left
        covered = self.covered(first, last)
        bounded = self.bounded(first, last, covered)
        at_risk = sum(len(self.followers_before(day)) for day in covered) if covered else None
        left_then = sum(len(expected.gone(at)) for at in inside if self.applied[at].day in covered)
        base = start + baseline
        earlier = self.applied[: inside[0]] if inside else []
        whole_before = [each.at for each in earlier if each.status == "complete"]
        calendar = {"day": (first, first), "month": (first.replace(day=1), month_end(first))}
        monday = first - first.weekday() * DAY
        return {
            "first": first, "last": last,
            "whole": (first, last) == calendar.get(by, (monday, monday + 6 * DAY)),
            "following_start": start, "baseline": baseline,
            "followed": followed if inside else None,
            "refollowed": refollowed if inside else None,
            "unfollowed": left, "net": net,
            "following_end": len(expected.after[inside[-1]]) if inside else None,
            "churn_rate": left / base if bounded and base and left is not None else None,
            "growth_rate": net / base if bounded and base and net is not None else None,
            "complete": complete, "partial": len(inside) - complete,
            "observed_since": whole_before[-1] if whole_before else None,
            "days": (last - first).days + 1,
            "days_whole": sum(first <= day <= last for day in self.whole),
            "bounded": bounded,
            "covers_first": covered[0] if covered else None,
            "covers_last": covered[-1] if covered else None,
            "follower_days": at_risk,
            "churn_per_30_days": 30 * left_then / at_risk if at_risk else None,
        }  # fmt: skip

    def covered(self, first: date, last: date) -> list[date]:
        """The days in which those found to have left, left."""
        inside = [day for day in self.whole if first <= day <= last]
        before = [day for day in self.whole if day < first]
        return (
            days_from((before or inside)[-1 if before else 0] + DAY, inside[-1]) if inside else []
        )

    def bounded(self, first: date, last: date, covered: list[date]) -> bool:
        """Whole readings near both ends, and about as many days as asked for."""
        if not covered:
            return False
        slack = ((last - first).days + 1) // 7
        near = max(slack, self.usual - 1)
        asked = days_from(first + DAY if self.whole[0] >= first else first, last)
        return (
            abs((covered[0] - asked[0]).days) <= near
            and (last - covered[-1]).days <= near
            and abs(len(covered) - len(asked)) <= slack
        )

    def windows(self) -> tuple[Figures, Figures | None]:
        """They end on the last day of all OAs."""
        first = max(self.until - 29 * DAY, self.first)
        last = self.period(first, self.until, "month")
        if first == self.first:
            return last, None
        return last, self.period(max(first - 30 * DAY, self.first), first - DAY, "month")

    def curve(self) -> list[Figures]:
        return [
            {
                "day": day,
                "following": len(self.expected.after[at[-1]]),
                "complete": day in self.whole,
            }
            for day in self.run_days
            if (at := self.inside(day, day))
        ]

    def gaps(self, days: Sequence[date]) -> list[Figures]:
        """Stretches between two of these days that are more than 1.5 usual intervals."""
        return [
            {"first": before + DAY, "last": after - DAY}
            for before, after in pairwise(days)
            if (after - before).days > 1.5 * self.usual
        ]

    def cohort(self, users: frozenset[str], since: date) -> Figures:
        following: list[int | None] = []
        for first, last in cut(since.replace(day=1), self.last, "month"):
            near = [day for day in self.whole if first <= day <= last]
            known = near and (last - near[-1]).days <= max(4, self.usual - 1)
            end = self.followers_before(last + DAY)
            following.append(len(users & end) if known else None)
        shares = [None if count is None else count / len(users) for count in following]
        month = since.replace(day=1)
        return {"month": month, "users": len(users), "following": following, "retention": shares}

    def cohorts(self) -> list[Figures]:
        found = []
        for first, last in cut(self.first, self.last, "month"):
            came = [self.expected.followed(at) for at in self.inside(first, last)]
            if users := frozenset[str]().union(*came):
                found.append(self.cohort(users, first))
        return found

    def lengths(self) -> Iterator[tuple[str, int, bool]]:
        """Of each stay: its kind, its days, whether it ended."""
        before = ""
        for stay in self.expected.stays():
            kind = "baseline" if stay.baseline else "again" if stay.user == before else "first"
            before = stay.user
            end = stay.end.day if stay.end else max(self.whole[-1], stay.first.day)
            yield kind, (end - stay.first.day).days, stay.end is not None

    def survival(self) -> Figures:
        """Kaplan and Meier, Greenwood, log(-log): user by user."""
        stays = [(days, ended) for kind, days, ended in self.lengths() if kind == "first"]
        points: list[Figures] = []
        share, variance = 1.0, 0.0
        for day in sorted({days for days, ended in stays if ended}):
            there = sum(days >= day for days, _ in stays)
            left = sum(days == day and ended for days, ended in stays)
            share *= 1 - left / there
            variance += left / (there * (there - left)) if there > left else 0.0
            width = 1.959963984540054 * sqrt(variance) / log(share) if share else 0.0
            low, high = (share ** exp(-width), share ** exp(width)) if share else (None, None)
            points.append(
                {"day": day, "at_risk": there, "left": left, "survival": share, "low": low, "high": high}
            )  # fmt: skip
        lengths = sorted({days for days, _ in stays})
        return {
            "users": len(stays), "left": sum(ended for _, ended in stays),
            "last": lengths[-1], "points": points,
            "lengths": [[day, sum(days == day for days, _ in stays)] for day in lengths],
            "median": next((each["day"] for each in points if each["survival"] <= 0.5), None),
        }  # fmt: skip

    def stays(self) -> Figures:
        known = [(days, ended) for kind, days, ended in self.lengths() if kind != "baseline"]
        baseline = [ended for kind, _, ended in self.lengths() if kind == "baseline"]
        begins = [0, 7, 30, 90, 180, 365]
        lengths = [
            {
                "first": first, "last": None if end is None else end - 1,
                "left": sum(first <= days < (end or 9999) for days, ended in known if ended),
                "follow": sum(first <= days < (end or 9999) for days, ended in known if not ended),
            }
            for first, end in zip(begins, [*begins[1:], None], strict=True)
        ]  # fmt: skip
        medians = []
        for which in (True, False):
            days = sorted(each for each, ended in known if ended is which)
            medians.append(days[(len(days) - 1) // 2] if days else None)
        return {
            "lengths": lengths, "median_left": medians[0], "median_follow": medians[1],
            "baseline_left": sum(baseline), "baseline_follow": len(baseline) - sum(baseline),
        }  # fmt: skip

    def recent(self) -> list[Figures]:
        stays = [stay for stay in self.expected.stays() if stay.end]
        order = {each: number for number, each in enumerate(self.applied)}
        stays.sort(key=lambda stay: (-order[stay.end] if stay.end else 0, stay.user))
        return [
            {
                "user_id": stay.user, "unfollowed_at": stay.end.at,
                "followed_at": None if stay.baseline else stay.first.at,
                "days": None if stay.baseline else (stay.end.day - stay.first.day).days,
            }
            for stay in stays[:20] if stay.end
        ]  # fmt: skip

    def unseen(self) -> list[Figures]:
        found = []
        for (status, reason), some in groupby(self.runs, key=lambda run: (run.status, run.reason)):
            if status != "complete":
                runs = list(some)
                found.append(
                    {
                        "kind": status, "first": runs[0].day, "last": runs[-1].day, "runs": len(runs),
                        "reason": (reason or "").partition(":")[0], "held_back": 70 if status == "held" else None,
                    }
                )  # fmt: skip
        nothing = {"kind": "gap", "runs": 0, "reason": None, "held_back": None}
        found += [{**nothing, **gap} for gap in self.gaps(self.run_days)]
        if (self.today - self.last).days > 1.5 * self.usual:
            found.append({**nothing, "first": self.last + DAY, "last": None})
        return sorted(found, key=lambda each: each["first"])

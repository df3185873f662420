"""Two OAs over fourteen months of which about half of the nights are missing, read in part, held or
failed: one that is read daily, one that is read once a week."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import TYPE_CHECKING

from histories import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

DAILY, WEEKLY = "4097311281936189049", "4097311281936189050"
NAMES = {DAILY: "Bubble tea", WEEKLY: "Noodles"}
FIRST, NIGHTS = date(2025, 9, 26), 425

REASONS = {"partial": "torn", "failed": "unreachable: no answer", "held": "mass_unfollow"}
HALF = ["complete"] * 5 + ["partial", "failed", "held", "nothing", "nothing"]
BEGIN = ("partial", "complete")
EARLY = {2, 6}
"""In these months no reading after the 20th was whole."""

MOST = ["complete"] * 12 + ["partial", "failed"]


def nights(oaid: str, seed: int, kinds: list[str], step: int = 1) -> Iterator[Reading]:
    """A small, restless OA that is read every so many days."""
    rng = random.Random(seed)
    following, away, number = [f"{each:04}" for each in range(120)], list[str](), 120
    for turn, night in enumerate(range(0, NIGHTS, step)):
        for _ in range(rng.randrange(3)):
            away.append(following.pop(rng.randrange(len(following))))
        following += [f"{each:04}" for each in range(number, number + rng.randrange(4))]
        number += 3
        if away and rng.random() < 0.3:
            following.append(away.pop(rng.randrange(len(away))))
        day = FIRST + timedelta(days=night)
        status = rng.choice(kinds)
        if turn < len(BEGIN):
            status = BEGIN[turn]
        elif day.month in EARLY and day.day > 20 and status == "complete":
            status = "partial"
        if status == "nothing":
            continue
        seen = [user for user in following if status != "partial" or rng.random() < 0.9]
        applied = status in {"complete", "partial"}
        shown = frozenset(seen) if applied else frozenset[str]()
        yield Reading(oaid, f"{day} 23:40", status, shown, REASONS.get(status))


HISTORY = sorted(
    [*nights(DAILY, 15, HALF), *nights(WEEKLY, 16, MOST, step=7)],
    key=lambda each: (each.at, each.oaid),
)

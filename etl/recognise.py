"""Recognising the forgotten who still follow, while a list is read (docs/decisions/0004).

eSMS lists them under their User_Id, our tables know them by a pseudonym. The spool asks about users whom a look saw and
nobody knows: recognised, they have neither come nor gone, and their User_Id is not stored again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.db.erase import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.db.erase import StandIn


def recogniser(stand_ins: Sequence[StandIn]) -> Callable[[str], str | None] | None:
    """What gives the pseudonym of a User_Id that was forgotten and has not left since; None where there is nobody to recognise.

    Asked again about a user, it remembers; once everybody is found, it computes nothing any more.
    """
    waiting = {(stand_in.salt, stand_in.digest): stand_in.pseudonym for stand_in in stand_ins if not stand_in.departed}
    if not waiting:
        return None
    told: dict[str, str | None] = {}

    def recognise(user_id: str) -> str | None:
        if user_id not in told and waiting:
            digests = [(salt, digest_of(user_id, salt)) for salt in sorted({salt for salt, _ in waiting})]
            told[user_id] = next((waiting.pop(digest) for digest in digests if digest in waiting), None)
        return told.get(user_id)

    return recognise

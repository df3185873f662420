"""The forgotten who still follow: what is kept of them, and how a sync recognises them.

eSMS lists them under their User_Id, our tables know them by a pseudonym. The spool asks about users
whom a look saw and nobody knows: recognised, they have neither come nor gone, and their User_Id is
not stored again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, exists, select

from etl.db.tables import followers, forgotten, snapshots
from etl.model import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

SCRYPT_COST = 2**12
"""scrypt's n, with r=8 and p=1: about 10 ms and 4 MB for each digest. A guess at a User_Id costs as
much as a sync pays for each user it does not know; whoever holds only the database has some 10^18
of them to try (docs/decisions/0004)."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """One row of `forgotten`. `salt` and `digest` are hexadecimal.

    `following`: the pseudonym is known to follow; `left`: it followed once; neither: an undone
    snapshot took it out. `departed`: a whole reading since then did not find the person, so that
    they are not recognised any more.
    """

    pseudonym: str
    salt: str
    digest: str
    following: bool
    left: bool
    departed: bool


def stand_ins(connection: Connection, oaid: str) -> list[StandIn]:
    """Whom a sync of the OA may have to recognise; empty for nearly every OA."""
    read_since = exists().where(
        snapshots.c.oaid == forgotten.c.oaid,
        snapshots.c.id > forgotten.c.snapshot_id,
        snapshots.c.status == Status.COMPLETE,
    )
    theirs = and_(
        followers.c.oaid == forgotten.c.oaid, followers.c.user_id == forgotten.c.pseudonym
    )
    statement = (
        select(
            forgotten.c.pseudonym,
            forgotten.c.salt,
            forgotten.c.digest,
            followers.c.user_id.is_not(None).label("known"),
            followers.c.unfollowed_at.is_not(None).label("left"),
            read_since.label("read_since"),
        )
        .select_from(forgotten.outerjoin(followers, theirs))
        .where(forgotten.c.oaid == oaid)
        .order_by(forgotten.c.pseudonym)
    )
    return [
        StandIn(
            row.pseudonym,
            row.salt,
            row.digest,
            following=bool(row.known and not row.left),
            left=bool(row.left),
            departed=bool(row.read_since and (row.left or not row.known)),
        )
        for row in connection.execute(statement)
    ]


def drop(connection: Connection, oaid: str, departed: Sequence[StandIn]) -> None:
    """Keep nothing any more by which the departed could be recognised.

    Their return would be a new person's arrival.
    """
    for stand_in in departed:
        row = (forgotten.c.oaid == oaid) & (forgotten.c.pseudonym == stand_in.pseudonym)
        connection.execute(delete(forgotten).where(row))


def digest_of(user_id: str, salt: str) -> str:
    """The digest by which a forgotten person is recognised, in hexadecimal."""
    return hashlib.scrypt(
        user_id.encode(), salt=bytes.fromhex(salt), n=SCRYPT_COST, r=8, p=1, dklen=32
    ).hex()


def recogniser(stand_ins: Sequence[StandIn]) -> Callable[[str], str | None] | None:
    """A function that gives the pseudonym of a User_Id that was forgotten and has not left since.

    None if there is nobody to recognise.

    Asked again about a user, it remembers; once everybody is found, it computes nothing any more.
    """
    waiting = {
        (stand_in.salt, stand_in.digest): stand_in.pseudonym
        for stand_in in stand_ins
        if not stand_in.departed
    }
    if not waiting:
        return None
    told: dict[str, str | None] = {}

    def recognise(user_id: str) -> str | None:
        if user_id not in told and waiting:
            digests = [
                (salt, digest_of(user_id, salt)) for salt in sorted({salt for salt, _ in waiting})
            ]
            told[user_id] = next(
                (waiting.pop(digest) for digest in digests if digest in waiting), None
            )
        return told.get(user_id)

    return recognise

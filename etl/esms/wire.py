"""eSMS on the wire: JSON <-> values, result codes -> errors. Pure: no socket, no clock.

Tolerant where the provider's pages contradict each other (numbers as strings, Count or Limit),
strict where guessing would be believed later: one member of the wrong type and the whole page is
malformed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from unicodedata import category

from etl.errors import (
    EtlError,
    FaultError,
    MalformedAnswerError,
    OffsetRefusedError,
    RefusedError,
    ThrottledError,
    UndocumentedCodeError,
    UnknownAccountError,
)
from etl.model import Account, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from etl.model import Window

SUCCESS = "100"
LARGEST_TOTAL = 2**53
LONGEST_IDENTIFIER = 128
"""Characters; the longest that was ever seen has 19."""

LONGEST_MESSAGE = 200

REFUSALS = {
    "101": "Check ESMS_API_KEY and ESMS_SECRET_KEY: eSMS does not know this pair.",
    "140": "Ask eSMS to put this machine's public IP address on the allow-list of the account.",
    "143": "The eSMS account is not activated, or locked: ask eSMS.",
    "204": "Check ESMS_OAIDS: eSMS does not know this OAID (see `etl accounts`).",
    "799": "Check ESMS_OAIDS: the OA is inactive, wrong, or not added to the eSMS account (see `etl accounts`).",
}
"""Codes after which a person must act, and what the person should do."""

FAULTS = {"110", "161"}
"""Codes by which eSMS calls the request itself wrong."""

_CODE_FIRST = re.compile(r'\s*\{\s*"CodeResult"\s*:\s*"?(\d{3})"?\s*,\s*"ErrorMessage"')

# Also what PostgreSQL's text cannot hold (U+0000, lone surrogates) and what would break a line: C0,
# DEL, C1, separators.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Keys(NamedTuple):
    """What each request carries, and no word of ours may show."""

    api_key: SecretStr
    secret_key: SecretStr


def followers_request(
    keys: Keys, *, oaid: str, offset: int, count: int | None, limit: int | None
) -> bytes:
    """The body of GetFollowers.

    The documentation names both `Count` and `Limit`: send both, or leave one out with None.
    """
    body = _members(keys) | {"OAID": oaid, "Offset": offset}
    body |= {
        name: value for name, value in (("Count", count), ("Limit", limit)) if value is not None
    }
    return json.dumps(body).encode()


def window_request(
    keys: Keys, *, oaid: str, window: Window, offset: int, count: int, follower: bool
) -> bytes:
    """The body of QueryListUID: the users whose day of interaction lies within the window."""
    body = _members(keys) | {
        "OAID": oaid,
        "Offset": offset,
        "Count": count,
        "FromDate": f"{window.first:%d/%m/%Y}",
        "ToDate": f"{window.last:%d/%m/%Y}",
        "IsFollower": "1" if follower else "0",
        "TagName": "",
    }
    return json.dumps(body).encode()


def window_page(body: bytes, offset: int, *, secrets: Sequence[SecretStr] = ()) -> Page:
    """The page that an answer of QueryListUID holds. Raises as `page` does."""
    data = _answer(body, offset, secrets).get("Data")
    if not isinstance(data, dict):
        raise MalformedAnswerError("Data is missing or no object")
    total = _total(data.get("Total", data.get("Tatal")))
    users = data.get("Users")
    if users is None and total == 0:
        users = []
    if not isinstance(users, list):
        raise MalformedAnswerError("Users is missing or no list")
    return Page(offset, tuple(_checked(users, "user")), total)


def accounts_request(keys: Keys) -> bytes:
    """The body of GetListZOA."""
    return json.dumps(_members(keys)).encode()


def page(body: bytes, offset: int, *, secrets: Sequence[SecretStr] = ()) -> Page:
    """The page that an answer of GetFollowers holds.

    Raises:
        MalformedAnswerError: it is not the documented JSON, in any member.
        RefusedError, FaultError, ThrottledError, OffsetRefusedError, EsmsUnavailableError: it holds
            a code other than 100.
    """
    answer = _answer(body, offset, secrets)
    total = _total(answer.get("Total"))
    followers = answer.get("Followers")
    if followers is None and "Followers" in answer and total == 0:
        followers = []  # null is how some write a list of nobody
    return Page(offset, _identifiers(followers), total)


def accounts(body: bytes, *, secrets: Sequence[SecretStr] = ()) -> list[Account]:
    """The OAs that an answer of GetListZOA holds. Raises as `page` does."""
    listed = _answer(body, None, secrets).get("ZOAList")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise MalformedAnswerError("ZOAList is not a list of objects")
    names = ["" if (name := each.get("OAName")) is None else name for each in listed]
    if not all(isinstance(name, str) for name in names):
        raise MalformedAnswerError("an OAName is not a string")
    oaids = _checked([each.get("OAID") for each in listed], "OAID")
    return [
        Account(oaid, _UNPRINTABLE.sub(" ", name).strip())
        for oaid, name in zip(oaids, names, strict=True)
    ]


def _members(keys: Keys) -> dict[str, Any]:
    return {
        "ApiKey": keys.api_key.get_secret_value(),
        "SecretKey": keys.secret_key.get_secret_value(),
    }


UNKNOWN_ACCOUNT = ("204", "799")
"""Of the refusals, those of the OAID."""


def _answer(body: bytes, offset: int | None, secrets: Sequence[SecretStr]) -> dict[str, Any]:
    """The answer as an object, if its code says success."""
    try:
        answer = _json(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        answer = _refusal(body)
        if answer is None:
            # `from None`: the error quotes the body.
            words = str(error) if isinstance(error, _TwiceError) else type(error).__name__
            raise MalformedAnswerError(f"the body is no JSON ({words})") from None
    if not isinstance(answer, dict):
        raise MalformedAnswerError("the body is no JSON object")
    code = answer.get("CodeResult")
    if not isinstance(code, str | int) or isinstance(code, bool):
        raise MalformedAnswerError("CodeResult is missing or of the wrong type")
    if str(code) != SUCCESS:
        message = answer.get("ErrorMessage")
        told = f"eSMS answered code {_clean(str(code), secrets)}"
        raise _error(
            str(code),
            f"{told}: {_clean(message, secrets)}" if isinstance(message, str) and message else told,
            offset,
        )
    return answer


def _json(text: str, *, strict: bool = True) -> object:
    # Typed: whatever JSON holds is looked at before it is believed.
    answer: object = json.loads(
        text, strict=strict, parse_constant=_no_constant, object_pairs_hook=_each_once
    )
    return answer


def _refusal(body: bytes) -> dict[str, Any] | None:
    """What a body with a code other than 100 says, though its message is no clean text; else None.

    Nothing but the code decides there, and a code is either what we know or tried again.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        answer = _json(text, strict=False)
    except _TwiceError:
        return None
    except (ValueError, RecursionError):
        found = _CODE_FIRST.match(text)
        answer = {"CodeResult": found[1]} if found else None
    if not isinstance(answer, dict) or str(answer.get("CodeResult", SUCCESS)) == SUCCESS:
        return None
    return answer


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose members stand in it once: of two, nobody knows which is meant."""
    answer = dict(members)
    if len(answer) != len(members):
        raise _TwiceError("a member stands in it twice")
    return answer


class _TwiceError(ValueError):
    pass


def _error(code: str, told: str, offset: int | None) -> EtlError:
    if code in REFUSALS:
        kind = UnknownAccountError if code in UNKNOWN_ACCOUNT else RefusedError
        return kind(told, code=code, hint=REFUSALS[code])
    if code in FAULTS:
        return FaultError(told)
    if code == "160":
        return ThrottledError(told)
    if code == "162" and offset is not None:
        return OffsetRefusedError(offset)
    return UndocumentedCodeError(told)


def _identifiers(followers: object) -> tuple[str, ...]:
    if not isinstance(followers, list):
        raise MalformedAnswerError("Followers is missing or no list")
    try:
        users = [follower["User_Id"] for follower in followers]
    except (TypeError, KeyError, IndexError):
        raise MalformedAnswerError("a follower has no User_Id") from None
    return tuple(_checked(users, "User_Id"))


def _checked(identifiers: list[Any], name: str) -> list[str]:
    """Identifiers as text: opaque, so an integer is taken as its digits.

    Anything doubtful is refused, never repaired.
    """
    # C speed for the page as a whole: a page of 5,000 takes a fraction of a millisecond.
    if not set(map(type, identifiers)) <= {str}:
        for identifier in identifiers:
            if type(identifier) not in {str, int}:
                raise MalformedAnswerError(f"a {name} is neither a string nor an integer")
        if any(type(identifier) is int and identifier < 0 for identifier in identifiers):
            raise MalformedAnswerError(f"a {name} is negative")
        identifiers = [str(identifier) for identifier in identifiers]
    if not all(identifiers):
        raise MalformedAnswerError(f"a {name} is empty")
    joined = "".join(identifiers)
    if not (joined.isascii() and joined.encode().isalnum()) and _holds_control(joined):
        raise MalformedAnswerError(f"a {name} holds a control or format character")
    if identifiers and max(map(len, identifiers)) > LONGEST_IDENTIFIER:
        raise MalformedAnswerError(f"a {name} is longer than {LONGEST_IDENTIFIER} characters")
    return identifiers


def _holds_control(text: str) -> bool:
    """Whether a character of it cannot be seen (a zero-width space) or breaks a line."""
    return any(category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in set(text))


def _whole_number(value: object, name: str) -> int:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= len(str(LARGEST_TOTAL))
    ):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedAnswerError(f"{name} is missing or no whole number")
    return value


def _total(value: object) -> int:
    total = _whole_number(value, "Total")
    if total > LARGEST_TOTAL:
        raise MalformedAnswerError("Total is absurdly large")
    return total


def _clean(text: str, secrets: Sequence[SecretStr]) -> str:
    """A server's words, fit for a log: short, on one line, without our keys if it echoes them."""
    # The longest first: one may be a part of the other.
    values = sorted((secret.get_secret_value() for secret in secrets), key=len, reverse=True)
    if values:
        text = re.sub("|".join(map(_in_any_form, values)), "…", text, flags=re.IGNORECASE)
    return _UNPRINTABLE.sub(" ", text)[:LONGEST_MESSAGE].strip()


def _in_any_form(secret: str) -> str:
    """A pattern of a secret as a server may echo it: plain, or escaped for JSON by any rule."""

    def escaped(char: str) -> str:
        units = char.encode("utf-16-be", "surrogatepass").hex()
        return "".join(rf"\\+u{units[at : at + 4]}" for at in range(0, len(units), 4))

    return "".join(rf"(?:\\*{re.escape(char)}|{escaped(char)})" for char in secret)


def _no_constant(name: str) -> None:
    raise ValueError(name)

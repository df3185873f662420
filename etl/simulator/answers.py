"""Answers as the API's documentation shows them."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from etl.simulator.faults import Reply


def ok(members: dict[str, Any]) -> Reply:
    """An answer with code 100."""
    return Reply(
        json.dumps(
            {"CodeResult": "100", "ErrorMessage": "success", **members}, ensure_ascii=False
        ).encode()
    )


def refusal(code: str, message: str) -> Reply:
    """An answer with another code."""
    return Reply(json.dumps({"CodeResult": code, "ErrorMessage": message}).encode())


def followers_page(users: list[str], total: int | str, *, integers: bool) -> Reply:
    """A page of GetFollowers; joined by hand, because benchmarks ask for pages of 5,000."""
    if not users:
        listed = ""
    elif integers:
        listed = '{"User_Id": ' + '}, {"User_Id": '.join(users) + "}"
    else:
        listed = '{"User_Id": "' + '"}, {"User_Id": "'.join(users) + '"}'
    success = '"CodeResult": "100", "ErrorMessage": "success"'
    members = f'{success}, "Followers": [{listed}], "Total": {json.dumps(total)}'
    return Reply(f"{{{members}}}".encode())


def window_page(users: list[str], total: int | str, *, offset: int, total_name: str) -> Reply:
    """A page of QueryListUID."""
    data = {"Count": len(users), "Offset": offset, total_name: total, "Users": users}
    return ok({"Data": data})


def number(value: object) -> int | None:
    """A bare number or, as the documentation's table has it, a string of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else None


def day(value: object) -> date | None:
    """A date as the documentation writes it, dd/mm/yyyy."""
    try:
        return datetime.strptime(str(value), "%d/%m/%Y").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None

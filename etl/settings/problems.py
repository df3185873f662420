"""What is wrong with settings, all at once, in our words, and without a secret's value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

M = TypeVar("M", bound=BaseModel)

ANYWHERE = "set it in the environment, in .env or in $CREDENTIALS_DIRECTORY"

UNREADABLE = "could not be read"

_MISSING = {"missing", "too_short"}

_WORDS = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than_equal": "must be at least {ge:.10g}",
    "greater_than": "must be above {gt:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "less_than": "must be below {lt:.10g}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
"""By pydantic's kinds of errors."""


def checked(
    kind: type[M], values: Mapping[str, Any], problems: list[str], *, missing: str = ANYWHERE
) -> M:
    """The settings of these values.

    Args:
        kind: which settings.
        values: by their names in lower case.
        problems: of reading the values, already known.
        missing: where a setting that is missing can be set.

    Raises:
        SettingsError: with every problem at once.
    """
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        # `from None`: pydantic's own traceback would show inputs.
        found = error.errors(include_url=False)
        if any(UNREADABLE in each for each in problems):  # what is missing may stand there
            found = [each for each in found if each["type"] not in _MISSING]
        raise SettingsError([*problems, *(_problem(each, missing) for each in found)]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _problem(error: Mapping[str, Any], missing: str) -> str:
    """One sentence that names the setting, as an operator writes it."""
    place = error["loc"]
    # Of one OA: ("oas", its OAID, the setting).
    name = f"{place[2]}_{place[1]}".upper() if len(place) > 2 else str(place[0]).upper()  # noqa: PLR2004 - see above
    if error["type"] in _MISSING:
        return f"{name} is missing: {missing}"
    return f"{name} {in_words(error)}"


def in_words(error: Mapping[str, Any]) -> str:
    """What pydantic found wrong with a value, in our words."""
    words = _WORDS.get(error["type"], "cannot be read")
    return words.format(**error.get("ctx", {}))

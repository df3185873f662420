"""Every error says how the program ends and what to do next."""

from __future__ import annotations

import inspect
import itertools
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from etl import errors
from etl.errors import (
    EtlError,
    InterruptedRunError,
    OffsetRefusedError,
    RefusedError,
    SettingsError,
    SeveralAccountsError,
    SystemRefusalError,
    UnknownAccountError,
    gravest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES = {
    "EtlError": 1,
    "SettingsError": 78,
    "UsageError": 2,
    "SeveralAccountsError": 2,
    "DatabaseBehindError": 78,
    "UnfitDatabaseError": 78,
    "RefusedError": 77,
    "UnknownAccountError": 77,
    "FaultError": 1,
    "ImpossibleAnswerError": 76,
    "BadRequestError": 76,
    "MalformedAnswerError": 76,
    "OffsetRefusedError": 78,
    "UnreachableError": 69,
    "EsmsUnavailableError": 69,
    "UndocumentedCodeError": 69,
    "ThrottledError": 69,
    "DatabaseUnreachableError": 69,
    "NoDatabaseError": 69,
    "SpoolError": 69,
    "SystemRefusalError": 69,
    "OutOfTimeError": 75,
    "BusyError": 75,
    "LeaseLostError": 75,
    "ContradictionError": 65,
    "InterruptedRunError": 128 + signal.SIGTERM,
}
"""docs/design.md#exit-codes."""

SAMPLES: dict[type[EtlError], Callable[[], EtlError]] = {
    SystemRefusalError: lambda: SystemRefusalError(
        "no more threads", hint="Raise ESMS_CONCURRENCY"
    ),
    SettingsError: lambda: SettingsError(
        ["ESMS_API_KEY is missing", "ESMS_RATE should be a number"]
    ),
    RefusedError: lambda: RefusedError("refused", code="101", hint="Check ESMS_API_KEY"),
    UnknownAccountError: lambda: UnknownAccountError("x", code="204", hint="Check ESMS_OAIDS"),
    SeveralAccountsError: lambda: SeveralAccountsError(2),
    OffsetRefusedError: lambda: OffsetRefusedError(100),
    InterruptedRunError: lambda: InterruptedRunError(signal.SIGTERM),
}

CLASSES = sorted(
    (
        each
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, EtlError)
    ),
    key=lambda each: each.__name__,
)

TELLS_BY_ITSELF = {
    "EtlError",
    "SettingsError",
    "UsageError",
    "SeveralAccountsError",
    "UnreachableError",
    "InterruptedRunError",
}
"""Bases, and those whose message already names the setting or argument."""

NAMES_SOMETHING = re.compile(
    r"ESMS_[A-Z]|ETL_[A-Z]|DATABASE_URL|TMPDIR|`?etl( \w+)+|eSMS|backup|Run again|60 s|report"
)


def sample(kind: type[EtlError]) -> EtlError:
    return SAMPLES[kind]() if kind in SAMPLES else kind("what happened")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_ends_the_program_with_its_documented_exit_code(kind: type[EtlError]) -> None:
    assert sample(kind).exit_code == EXIT_CODES[kind.__name__]


def test_the_exit_codes_are_those_of_sysexits() -> None:
    assert (
        os.EX_DATAERR,
        os.EX_UNAVAILABLE,
        os.EX_TEMPFAIL,
        os.EX_PROTOCOL,
        os.EX_NOPERM,
        os.EX_CONFIG,
    ) == (
        65,
        69,
        75,
        76,
        77,
        78,
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_says_what_to_do_next_and_names_what_to_change(kind: type[EtlError]) -> None:
    error = sample(kind)
    if kind.__name__ in TELLS_BY_ITSELF:
        assert str(error)
        return
    assert NAMES_SOMETHING.search(error.hint)
    assert error.hint.isprintable()


@pytest.mark.parametrize("kind", CLASSES)
def test_the_reason_that_a_snapshot_stores_is_one_word_for_programs(kind: type[EtlError]) -> None:
    assert re.fullmatch(r"[a-z_]+", sample(kind).reason)


def test_the_tree_drawn_in_the_module_shows_every_error_under_its_base_with_its_exit_code() -> None:
    assert errors.__doc__
    drawn: dict[str, tuple[str | None, str]] = {}
    path: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        if not (found := re.match(r"([ │├└─]*)(\w+Error)\s*(128\+signal|\d*)", line)):
            continue
        depth = len(found[1])
        path = [(at, name) for at, name in path if at < depth]
        drawn[found[2]] = (path[-1][1] if path else None, found[3])
        path.append((depth, found[2]))
    assert drawn.keys() == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        base, code = drawn[kind.__name__]
        assert base == (kind.__base__.__name__ if kind is not EtlError and kind.__base__ else None)
        assert not code.isdigit() or int(code) == EXIT_CODES[kind.__name__]


def test_all_problems_with_settings_stand_in_one_message() -> None:
    error = SettingsError(["A is missing", "B is wrong"])
    assert error.problems == ["A is missing", "B is wrong"]
    assert str(error) == "A is missing; B is wrong"


def test_a_signal_is_told_by_its_name_and_ends_as_a_shell_expects() -> None:
    assert "SIGTERM" in str(InterruptedRunError(signal.SIGTERM))
    assert InterruptedRunError(signal.SIGINT).exit_code == 130
    assert InterruptedRunError(signal.SIGTERM).exit_code == 143


def test_of_several_exit_codes_the_gravest_speaks_in_the_documented_order() -> None:
    order = [143, 78, 77, 1, 76, 65, 69, 75, 0]
    for graver, lighter in itertools.combinations(order, 2):
        assert gravest([graver, lighter]) == gravest([lighter, graver]) == graver
    assert gravest(order[::-1]) == 143
    assert gravest([130, 78]) == 130


def test_no_oa_at_all_is_no_failure() -> None:
    assert gravest([]) == 0
    assert gravest([0, 0]) == 0

"""Everything that can go wrong, sorted by what to do next.

Only the CLI prints one and turns it into an exit code.

    EtlError                        exit
    ├── SettingsError               78   a setting is missing or wrong: its message names it
    ├── UsageError                   2   an argument does not fit
    │   └── SeveralAccountsError         … a mass unfollow is accepted only of OAs that are named
    ├── DatabaseBehindError         78   not upgraded, or newer than this program
    ├── UnfitDatabaseError          78   a server, a file or a role that cannot do what is needed
    ├── RefusedError                77   eSMS refuses keys, IP address or OA: never retried
    │   └── UnknownAccountError          … the OAID is unknown, or not added to the account
    ├── FaultError                   1   eSMS calls our request wrong: our fault, never retried
    ├── ImpossibleAnswerError       76   the API answered something that it does not document
    │   ├── BadRequestError              HTTP 400: at an offset above 0, perhaps the ceiling
    │   └── MalformedAnswerError         … in its body: retried before it is believed
    ├── OffsetRefusedError          78   code 162: the ceiling, unless the offset is 0
    ├── UnreachableError            69   after all retries
    │   ├── EsmsUnavailableError         lost connections, HTTP 5xx 408 421 425, odd codes: retried
    │   │   ├── UndocumentedCodeError    retried; at an offset above 0, perhaps the ceiling
    │   │   └── ThrottledError           code 160 and HTTP 429: retried, and all workers slow down
    │   ├── DatabaseUnreachableError
    │   │   └── NoDatabaseError          the SQLite file is not there
    │   ├── SpoolError                   the temporary directory is full or gone
    │   └── SystemRefusalError           no more threads, files, memory; a file that may not be used
    ├── OutOfTimeError              75   ETL_MAX_RUNTIME is over
    ├── BusyError                   75   another run holds the OA
    ├── LeaseLostError              75   ours ran out, or was taken over: nothing may be written
    ├── ContradictionError          65   `verify` found rows that contradict each other
    └── InterruptedRunError   128+signal SIGTERM, Ctrl-C

An error brings its own advice (`hint`), and its facts as attributes. None of them ever holds a
secret.
"""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from enum import IntEnum
from importlib import util
from pathlib import Path


class ExitCode(IntEnum):
    """The exit codes of every command (BSD's sysexits.h, where it has one)."""

    OK = 0
    FAULT = 1
    USAGE = 2
    CONTRADICTION = 65
    UNREACHABLE = 69
    TRY_LATER = 75
    IMPOSSIBLE_ANSWER = 76
    REFUSED = 77
    SETTINGS = 78
    SIGNALLED = 128
    """Plus the number of a signal that ended the run, by the shell's convention."""


class EtlError(Exception):
    """Base of all errors of ours. Some cases of an error have advice (`hint`) of their own."""

    exit_code: int = ExitCode.FAULT
    hint = ""
    reason = "error"
    """The word by which programs know it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint

    @property
    def recorded(self) -> str:
        """What `snapshots.reason` says: the word that programs read, then the message."""
        return f"{self.reason}: {self}"


class SettingsError(EtlError):
    """One or more settings are missing or wrong; all of them are told together."""

    exit_code = ExitCode.SETTINGS
    reason = "settings"

    def __init__(self, problems: list[str], *, hint: str | None = None) -> None:
        super().__init__("; ".join(problems), hint=hint)
        self.problems = problems


def require_extra(what: str, extra: str, *modules: str) -> None:
    """Refuse what needs libraries that a small installation leaves out.

    Raises:
        SettingsError: one of these modules is not installed.
    """
    if not all(map(util.find_spec, modules)):
        raise SettingsError(
            [f"{what} needs the extra `{extra}`, which is not installed"],
            # By a path: no index has this program.
            hint=f"In the checkout of etl: {sys.executable} -m pip install '.[{extra}]'",
        )


class UsageError(EtlError):
    """An argument does not fit what is in the database or in the settings."""

    exit_code = ExitCode.USAGE
    reason = "usage"


class SeveralAccountsError(UsageError):
    """A mass unfollow was to be accepted for all OAs at once: there are `count`."""

    def __init__(self, count: int) -> None:
        super().__init__(
            f"a mass unfollow is accepted only of OAs that are named: there are {count}"
        )
        self.count = count


class DatabaseBehindError(EtlError):
    """The database's schema is not the one that this program was written for."""

    exit_code = ExitCode.SETTINGS
    hint = "Back it up, then run: etl db upgrade"
    reason = "database_behind"


class UnfitDatabaseError(EtlError):
    """The database, as it is set up, cannot serve: no retry helps, a person must change it."""

    exit_code = ExitCode.SETTINGS
    reason = "database_unfit"
    hint = "Set DATABASE_URL to a database that can serve (docs/postgresql.md)."


class RefusedError(EtlError):
    """eSMS refuses us, and will until a person acts (codes 101, 140, 143, 204, 799)."""

    exit_code = ExitCode.REFUSED
    reason = "refused"
    hint = "Check the keys, the addresses that eSMS allows and the OAID: etl doctor checks each."

    def __init__(self, message: str, *, code: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.code = code


class UnknownAccountError(RefusedError):
    """eSMS does not know the OAID, or it is not added to the account (codes 204, 799)."""


class FaultError(EtlError):
    """eSMS calls our request wrong (codes 110, 161): a fault of this program."""

    reason = "fault"
    hint = "This is a fault of etl: please report it with this message."


class ImpossibleAnswerError(EtlError):
    """An answer outside the documentation; trying again cures nothing (HTTP 4xx, a redirect)."""

    exit_code = ExitCode.IMPOSSIBLE_ANSWER
    hint = "Check ESMS_BASE_URL; if it is right, ask eSMS what changed."
    reason = "impossible_answer"


class BadRequestError(ImpossibleAnswerError):
    """HTTP 400. At an offset above 0, while offset 0 is served, it is the end of what is listed."""


class MalformedAnswerError(ImpossibleAnswerError):
    """The body is not the documented JSON. The whole page is dropped; nothing is guessed."""

    hint = "eSMS sent broken answers on every try: run again later, then ask eSMS."
    reason = "malformed"


class OffsetRefusedError(EtlError):
    """Code 162: the offset lies past the reachable end, or, at offset 0, Count is wrong."""

    exit_code = ExitCode.SETTINGS
    hint = "Lower ESMS_PAGE_SIZE (50 is the largest that eSMS documents)."
    reason = "offset_refused"

    def __init__(self, offset: int) -> None:
        super().__init__(f"eSMS refuses Offset {offset} or Count (code 162)")
        self.offset = offset


class UnreachableError(EtlError):
    """The API or the database could not be reached, after all retries."""

    exit_code = ExitCode.UNREACHABLE
    reason = "unreachable"


class EsmsUnavailableError(UnreachableError):
    """A passing fault of eSMS or of the network: worth another try.

    `retry_after` is how long it asked us to wait (seconds), if it did.
    """

    hint = "Run again later; if it persists, see `etl doctor`."

    def __init__(
        self, message: str, *, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class UndocumentedCodeError(EsmsUnavailableError):
    """A CodeResult that nobody documents.

    Where it lasts at an offset above 0, while offset 0 is served, it is the end of what is listed.
    """


class ThrottledError(EsmsUnavailableError):
    """Too fast for eSMS (code 160, HTTP 429)."""

    hint = "Lower ESMS_RATE (requests a second)."
    reason = "throttled"


class DatabaseUnreachableError(UnreachableError):
    """The database is gone, full, read-only or refuses us."""

    hint = "Check DATABASE_URL, the server, the disk and the permissions."
    reason = "database"


class NoDatabaseError(DatabaseUnreachableError):
    """The SQLite file is not there, and a command that only reads does not make one."""

    hint = "The first `etl sync` creates it; check DATABASE_URL and the directory you are in."


class SpoolError(UnreachableError):
    """The temporary directory, where a sweep waits, is full or gone."""

    hint = (
        "Make room, or point TMPDIR to a directory with room (about 25 bytes a follower and look)."
    )
    reason = "temporary_disk"


class SystemRefusalError(UnreachableError):
    """The operating system refuses something: a thread, a file, memory, room, a permission."""

    reason = "system"
    hint = "Check the machine: the disk, the permissions, the limits."


class OutOfTimeError(EtlError):
    """The run reached ETL_MAX_RUNTIME."""

    exit_code = ExitCode.TRY_LATER
    hint = "Raise ETL_MAX_RUNTIME (minutes), ESMS_CONCURRENCY or ESMS_RATE."
    reason = "out_of_time"


class BusyError(EtlError):
    """Another run holds the OA's lease."""

    exit_code = ExitCode.TRY_LATER
    hint = "Wait for the other run; a lease left behind by a dead one ends by itself after 60 s."
    reason = "busy"


class LeaseLostError(EtlError):
    """Our lease ran out or was taken over while we were away.

    Whatever we know is too old to be written.
    """

    exit_code = ExitCode.TRY_LATER
    hint = "The machine may have slept. Run again."
    reason = "lease_lost"


class ContradictionError(EtlError):
    """`followers`, `follower_changes` and `snapshots` contradict each other."""

    exit_code = ExitCode.CONTRADICTION
    hint = "Restore the last backup that `etl verify` accepts, or report this."
    reason = "contradiction"


class InterruptedRunError(EtlError):
    """A signal asked us to stop; the lease was given back and no follower row was touched."""

    reason = "interrupted"

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = ExitCode.SIGNALLED + signum


_NO_MORE = "The limits of the user, the service (TasksMax, LimitNOFILE) or the container are too low, or the machine is full."

_HINTS = {
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "Make room: the quota of this user is used up.",
    errno.EROFS: "That file system can only be read.",
    errno.EACCES: "Check the owner and the permissions.",
    errno.EPERM: "Check the owner and the permissions.",
    errno.ENOENT: "Check the path, and that the directory you are in still exists.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n; LimitNOFILE of a systemd unit).",
    errno.ENFILE: "The machine has no more open files to give.",
    errno.EAGAIN: _NO_MORE,
    errno.ENOMEM: _NO_MORE,
}


_PACKAGE = Path(__file__).parent


def as_ours(error: Exception) -> EtlError:
    """Whatever was raised, as an error of ours.

    Refusals of the operating system are named, the rest is a fault of etl. No word of the original
    that could hold a secret or a User_Id is kept.
    """
    if isinstance(error, EtlError):
        return error
    ours: EtlError
    if isinstance(error, MemoryError):
        ours = SystemRefusalError("there is no more memory", hint=_NO_MORE)
    elif isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        ours = SystemRefusalError("no more threads can be started", hint=_NO_MORE)
    elif isinstance(error, OSError) and error.errno is not None and error.strerror:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        ours = SystemRefusalError(f"{where}{error.strerror}", hint=_HINTS.get(error.errno))
    else:
        ours = FaultError(f"{type(error).__name__} in etl")
    ours.__cause__ = error
    return ours


def hint_of(reason: str) -> str:
    """The advice of the errors with this `reason`; empty if none fits them all."""
    waiting = [EtlError]
    while waiting:
        kind = waiting.pop()
        if kind.reason == reason and kind.hint:
            return kind.hint
        waiting += kind.__subclasses__()
    return ""


def trace(error: EtlError) -> str | None:
    """The places where something of Python's own went wrong: no message, no value, no secret."""
    if error.__cause__ is None or not isinstance(error, FaultError | SystemRefusalError):
        return None
    frames = traceback.extract_tb(error.__cause__.__traceback__)
    # Of the libraries between, only where it ended.
    ours = [each for each in frames[:-1] if Path(each.filename).is_relative_to(_PACKAGE)]
    places = [*ours, *frames[-1:]]
    return " > ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in places)


GRAVITY = (
    ExitCode.SETTINGS,
    ExitCode.REFUSED,
    ExitCode.FAULT,
    ExitCode.IMPOSSIBLE_ANSWER,
    ExitCode.CONTRADICTION,
    ExitCode.UNREACHABLE,
    ExitCode.TRY_LATER,
    ExitCode.OK,
)
"""Exit codes of several OAs, gravest first (docs/design.md#exit-codes)."""


def gravest(codes: list[int]) -> int:
    """The one exit code that speaks for several OAs. A signal (128 and above) outranks them all."""
    return max(
        codes,
        key=lambda code: (
            code >= ExitCode.SIGNALLED,
            -GRAVITY.index(code) if code in GRAVITY else 0,
        ),
        default=0,
    )

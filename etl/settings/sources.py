"""Where settings come from: the environment, `.env`, a directory (systemd credentials).

Values are data, never a script: nothing in them is expanded. Quotes around a value are taken off,
wherever it stands: a shell takes them off, docker's --env-file does not.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv.parser import parse_stream

from etl.settings.problems import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dotenv.parser import Binding

ENV_FILE = Path(".env")

_OF_ONE_OA = re.compile(r"((?:esms|etl)_[a-z]+(?:_[a-z]+)*)_([0-9]{1,64})")
"""A setting of one OA: its name, then an underscore and the OAID."""

_IN_DOUBLE_QUOTES = re.compile(r'\s*(?:export\s+)?\w+\s*=\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)

_BLANKS = " \t\r\n"
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"))


def given(names: Iterable[str], problems: list[str]) -> dict[str, str]:
    """The values of the settings `names` (lower case), each from the first place that has it.

    What is set for one OA (NAME_OAID) comes with them. A place that cannot be read is put on
    `problems`, and the others are read all the same.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    sought = set(names)
    return (
        (from_directory(Path(credentials), sought, problems) if credentials else {})
        | from_env_file(ENV_FILE, sought, problems)
        | _chosen(os.environ, sought)
    )


def from_env_file(path: Path, names: set[str], problems: list[str]) -> dict[str, str]:
    """The settings in a file of NAME=value lines; none where there is no file."""
    try:
        if not path.exists():
            return {}
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except UnicodeDecodeError:
        problems.append(f"{path} {UNREADABLE}: it is no UTF-8 text")
    except OSError as error:
        problems.append(f"{path} {UNREADABLE}: {error.strerror}")
    else:
        wrong = [each.original for each in bindings if each.error]
        problems += [
            f"{path}, line {line} {UNREADABLE}: write {name.upper()}=value"
            for name, line in ((_begin(each.string), each.line) for each in wrong)
            if is_sought(name, names)
        ]
        return _chosen({each.key: _written(each) for each in bindings if each.key}, names)
    return {}


def _begin(line: str) -> str:
    """The name with which a line begins that cannot be understood."""
    found = re.match(r"\s*(?:export\s+)?(\w*)", line)
    return found[1] if found else ""


def _written(binding: Binding) -> str:
    """A value as it is written: of a backslash in quotes dotenv makes what no shell does."""
    found = _IN_DOUBLE_QUOTES.match(binding.original.string)
    return re.sub(r'\\(["\\$`])', r"\1", found[1]) if found else binding.value or ""


def from_directory(directory: Path, names: set[str], problems: list[str]) -> dict[str, str]:
    """The settings in a directory with a file each, named as the setting in capitals or not."""
    found: dict[str, str] = {}
    for file in _files(directory):
        if not is_sought(file.name, names):
            continue
        try:
            found[file.name] = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(f"{file} {UNREADABLE}: it is no UTF-8 text")
        except OSError as error:
            problems.append(f"{file} {UNREADABLE}: {error.strerror}")
    return _chosen(found, names)


def by_oa(values: dict[str, str], of_one_oa: Iterable[str], problems: list[str]) -> dict[str, Any]:
    """The values, those of one OA apart under `oas`, by OAID.

    What is none of the settings `of_one_oa` (lower case) and was set for one is put on `problems`.
    """
    allowed = sorted(of_one_oa)
    general: dict[str, Any] = {}
    oas: dict[str, dict[str, str]] = {}
    for name, value in values.items():
        if (found := _OF_ONE_OA.fullmatch(name)) is None:
            general[name] = value
        elif found[1] in allowed:
            oas.setdefault(found[2], {})[found[1]] = value
        else:
            each = ", ".join(allowed).upper()
            problems.append(f"{name.upper()} cannot be set for one OA (these can: {each})")
    return general | ({"oas": oas} if oas else {})


def _files(directory: Path) -> list[Path]:
    """Nothing where there is no directory: what is missing for want of it is named."""
    try:
        return sorted(each for each in directory.iterdir() if each.is_file())
    except OSError:
        return []


def is_sought(name: str, names: set[str]) -> bool:
    """Whether it is one of the settings `names`, in capitals or not, or what is set for one OA."""
    of_one = _OF_ONE_OA.fullmatch(name.lower())
    return name.lower() in names or (of_one is not None and "esms_oaids" in names)


def _chosen(values: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """Those of `names`, without quotes. An empty one is as good as none."""
    plain = {
        name.lower(): unquoted(value) for name, value in values.items() if is_sought(name, names)
    }
    return {name: value for name, value in plain.items() if value}


def unquoted(value: str) -> str:
    """The value without a pair of quotes around it, and without blanks around those."""
    stripped = value.strip(_BLANKS)
    for opening, closing in _QUOTES:
        inner = stripped[1:-1]
        if len(stripped) > 1 and stripped[0] == opening and stripped[-1] == closing:
            # `"1","2"` is no value in quotes: the first quote is closed before the end.
            return stripped if closing in inner else inner.strip(_BLANKS)
    return stripped or value

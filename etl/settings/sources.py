"""Where settings come from: the environment, then a `.env` file, then a directory of files (systemd credentials).

Values are data, never a script: nothing in them is expanded. Quotes around a value are taken off,
wherever it stands: a shell takes them off, docker's --env-file does not.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENV_FILE = Path(".env")

_BLANKS = " \t\r\n"
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"))


def given(names: Iterable[str], problems: list[str]) -> dict[str, str]:
    """The values of the settings `names` (lower case), each from the first place that has it.

    A place that cannot be read is put on `problems`, and the others are read all the same.
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
            # interpolate: a key with `${` in it is that key.
            values = dotenv_values(stream=file, interpolate=False)
    except UnicodeDecodeError:
        problems.append(f"{path} could not be read: it is no UTF-8 text")
    except OSError as error:
        problems.append(f"{path} could not be read: {error.strerror}")
    else:
        return _chosen({name: value for name, value in values.items() if value}, names)
    return {}


def from_directory(directory: Path, names: set[str], problems: list[str]) -> dict[str, str]:
    """The settings in a directory with a file each, named as the setting in capitals or not."""
    found: dict[str, str] = {}
    for name in sorted(names):
        for file in (directory / name, directory / name.upper()):
            try:
                if file.is_file():
                    found[name] = file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                problems.append(f"{file} could not be read: it is no UTF-8 text")
            except OSError as error:
                problems.append(f"{file} could not be read: {error.strerror}")
    return _chosen(found, names)


def _chosen(values: Mapping[str, str], names: set[str]) -> dict[str, str]:
    """Those of `names`, without quotes. An empty one is as good as none."""
    plain = {
        name.lower(): unquoted(value) for name, value in values.items() if name.lower() in names
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

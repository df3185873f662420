"""Debian's programs that some tests drive; `.ci/run` installs them."""

from __future__ import annotations

import os
import shutil

import pytest


def need_program(name: str, *, package: str = "", others: tuple[str, ...] = ()) -> str:
    """Where a program is. Without it the test does not run and says why, but in CI that is a
    failure.

    Args:
        name: as Debian calls it.
        package: Debian's, where its name is another.
        others: what the program is called elsewhere.
    """
    for each in (name, *others):
        if found := shutil.which(each, path=os.environ.get("PATH", "") + ":/usr/sbin"):
            return found
    why = f"no {name} is installed (Debian and Ubuntu: apt-get install {package or name})"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{why}; CI needs it")
    pytest.skip(why)

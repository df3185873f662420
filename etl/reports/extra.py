"""The extra `report`: whether the libraries of the charts are installed."""

from __future__ import annotations

from importlib import util

from etl.errors import missing_extra


def require_charts() -> None:
    """Refuse early, before anything is read.

    Raises:
        SettingsError: altair or vl-convert is not installed.
    """
    if util.find_spec("altair") is None or util.find_spec("vl_convert") is None:
        raise missing_extra("a page with charts", "report")

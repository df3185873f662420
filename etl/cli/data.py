"""`etl` report and export: what the tables say."""

from __future__ import annotations

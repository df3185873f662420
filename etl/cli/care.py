"""`etl` doctor, undo, forget and db: looking after it."""

from __future__ import annotations

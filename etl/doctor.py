"""`etl doctor`: what is wrong, step by step, and what to do about it."""

from __future__ import annotations

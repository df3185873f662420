"""`etl demo`: everything without keys and without network."""

from __future__ import annotations

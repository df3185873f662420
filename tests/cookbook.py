"""The queries that the documents give people to paste."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOT = Path(__file__).resolve().parents[1]
COOKBOOK = ROOT / "docs" / "sql-cookbook.md"
README = ROOT / "README.md"


def recipes() -> dict[str, dict[str, str]]:
    """The queries of the cookbook by heading and dialect (empty: one for both)."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    pattern = r"^### (?P<heading>[^\n]+)$|^```sql ?(?P<dialect>\w*)\n(?P<sql>.*?)^```$"
    for match in re.finditer(pattern, COOKBOOK.read_text(), re.MULTILINE | re.DOTALL):
        heading = match["heading"] or heading
        if match["sql"]:
            found.setdefault(heading, {})[match["dialect"]] = match["sql"]
    return found


def readme_queries() -> dict[str, str]:
    """Those of the README, by the comment before each."""
    blocks = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    return {
        comment: sql
        for block in blocks
        for comment, sql in re.findall(r"-- ([^\n]+)\n(.*?;)", block, re.DOTALL)
    }


def answer(connection: Connection, heading: str) -> list[tuple[Any, ...]]:
    """What the database says to a recipe."""
    recipe = recipes()[heading]
    return ask(connection, recipe.get("") or recipe[connection.dialect.name])


def ask(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """What it says to a query; a colon in it is no parameter."""
    return [tuple(row) for row in connection.execute(text(sql.replace(":", "\\:")))]

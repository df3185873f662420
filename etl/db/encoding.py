"""What a database that is not UTF-8 can hold.

An identifier is stored exactly or not at all, a name or a reason as nearly as possible.
"""

from __future__ import annotations

import codecs
import unicodedata
from typing import TYPE_CHECKING

from etl.db.driver import psycopg_connection

if TYPE_CHECKING:
    from sqlalchemy import Connection

UTF8 = "UTF8"

_AS_IT_COMES = {UTF8, "SQL_ASCII"}
"""What is stored byte by byte."""

_PLAIN = str.maketrans({"đ": "d", "Đ": "D"})
"""Letters that Unicode does not take apart."""


def encoding(connection: Connection) -> str:
    """The encoding that the database keeps text in, by PostgreSQL's name; SQLite's is UTF-8."""
    if connection.dialect.name == "sqlite":
        return UTF8
    return psycopg_connection(connection).info.parameter_status("server_encoding") or UTF8


def storable(connection: Connection, text: str) -> str:
    """A name or a reason as the database can hold it: without accents, or with `?`, if need be."""
    return fitted(text, encoding(connection))


def fitted(text: str, into: str) -> str:
    """The text in what an encoding of PostgreSQL can hold."""
    if into in _AS_IT_COMES:
        return text
    codec = _codec(into)
    return "".join(_letter(each, codec) for each in unicodedata.normalize("NFC", text))


def _letter(letter: str, codec: str) -> str:
    plain = unicodedata.normalize("NFKD", letter.translate(_PLAIN))
    for each in (letter, "".join(mark for mark in plain if not unicodedata.combining(mark))):
        try:
            each.encode(codec)
        except UnicodeEncodeError:
            continue
        return each
    return "?"


def _codec(name: str) -> str:
    """Python's name for it; of what Python does not know, only ASCII is trusted."""
    for each in (name, name.replace("WIN", "cp"), name.replace("_", "-")):
        try:
            return codecs.lookup(each).name
        except LookupError:
            continue
    return "ascii"

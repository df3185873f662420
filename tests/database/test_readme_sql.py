"""Whoever pastes a query of the README gets an answer, on either database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cookbook import readme_queries
from sqlalchemy import text
from world import sync

from etl.db.engine import reading
from etl.simulator import Simulator

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def told(db: Engine) -> Engine:
    """Two days of an OA, and one on which nothing could be read."""
    with Simulator(30, seed=3) as sim:
        sync(sim, db)
        sim.unfollow()
        sim.follow()
        sync(sim, db)
        sim.fault_rate("http_404", 1)
        sync(sim, db)
    return db


def test_every_query_of_the_readme_runs_on_both(told: Engine) -> None:
    queries = readme_queries().values()
    assert len(queries) == 3
    with reading(told) as connection:
        days, left, unseen = (connection.execute(text(query)).all() for query in queries)
    assert [(day.followed, day.unfollowed) for day in days] == [(1, 1)]
    assert len(left) <= 1, "whoever left in the November of the query"
    assert [row.status for row in unseen] == ["failed"]

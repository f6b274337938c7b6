"""Aliases, positions and sizes: a query may not grow while its names are resolved."""

import time
from typing import Any

import pytest

from flip_trust.data_access.guard import Guard
from flip_trust.data_access.refusal import QueryRefused

M = "FROM measurement m WHERE m.person_id = p.person_id"
# What PostgreSQL knows of aliases, and what it does not.
QUERIES = (
    ("alias in GROUP BY", "allowed", "SELECT person_id, year_of_birth / 10 AS d FROM person GROUP BY person_id, d"),
    ("positions", "allowed", "SELECT person_id, year_of_birth / 10 AS d, 1 AS one FROM person GROUP BY 1, 2, 2, 3"),
    (
        "a column before an alias",
        "allowed",
        "SELECT person_id, max(value_as_number) AS value_as_number FROM measurement WHERE value_as_number > 1 "
        "GROUP BY person_id HAVING max(value_as_number) > 3 AND count(person_id) > 0",
    ),
    (
        "in HAVING of a subquery",
        "allowed",
        "SELECT p.person_id FROM person p WHERE EXISTS (SELECT max(measurement_date) AS measurement_date "
        f"{M} GROUP BY m.person_id HAVING max(measurement_date) > '2016-01-01')",
    ),
    ("alias in a column", "unknown_name", "SELECT person_id, year_of_birth AS y, y + 1 AS z FROM person"),
    ("alias in WHERE", "unknown_name", "SELECT person_id, year_of_birth + 1 AS y FROM person WHERE y > 1950"),
    (
        "alias in HAVING",
        "whole_row",
        "SELECT person_id, count(*) AS n FROM measurement GROUP BY person_id HAVING n > 1",
    ),
    ("no such position", "unknown_name", "SELECT person_id FROM person GROUP BY 2"),
)


def nested(clause: str, depth: int) -> str:
    """Subqueries within one another, each written out by the one around it."""
    inner = "1"
    for _ in range(depth):
        inner = f"(SELECT max(q.year_of_birth) + {inner} AS a FROM person q WHERE q.person_id = p.person_id {clause})"
    return f"SELECT p.person_id, {inner} AS x FROM person p"


BOMBS = {
    "aliases": "SELECT person_id, year_of_birth AS a0, "
    + ", ".join(f"a{i} + a{i} AS a{i + 1}" for i in range(40))
    + " FROM person",
    "aliases in HAVING": nested("GROUP BY q.person_id HAVING a = a", 30),
    "aliases in GROUP BY": nested("GROUP BY a", 30),
    "positions": nested("GROUP BY 1", 30),
    "the same position": f"SELECT person_id, {' + '.join(['year_of_birth'] * 200)} AS a FROM person GROUP BY 1"
    + ", 2" * 700,
}


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES])
async def test_verdict(verdict: Any, reason: str, sql: str) -> None:
    await verdict(reason, sql)


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in BOMBS.items()])
def test_names_do_not_make_a_query_grow(guard: Guard, sql: str) -> None:
    start = time.process_time()
    try:
        written = len(guard(sql).sql)
    except QueryRefused:
        written = 0
    # Where names are doubled 30 times over, no machine comes to an end; a slow and busy one takes 6 s for the longest.
    assert time.process_time() - start < 30, "seconds of one core, for a query of few characters"
    assert written < 20 * len(sql)

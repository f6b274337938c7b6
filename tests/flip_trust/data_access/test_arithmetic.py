"""The arithmetic that queries are rewritten to gives what PostgreSQL's own gives, wherever that gives anything."""

from typing import Any

import asyncpg
import pytest

from flip_trust.data_access.guard import Guard

SAME = (
    "a / b",
    "b / a",
    "a + b * 2 - a / 2",
    "a % b",
    "-a % 7",
    "abs(a - 9)",
    "-a",
    "-(a + b) * 2",
    "a * 1.5",
    "a / 2.0",
    "a::numeric / 3",
    "a::float / 7",
    "a::int / 7",
    "abs(x - 120) / 7",
    "x % 7",
    "-x",
    "x / ((x / 100) * (x / 100))",
    "d + 30",
    "30 + d",
    "d - 30",
    "d + interval '1 year'",
    "interval '1 year' + d",
    "interval '1 day' + t",
    "t - interval '2 weeks'",
    "a + NULL::int",
    "CASE WHEN a > 8 THEN 1 ELSE CAST(NULL AS integer) END",
    "coalesce(NULL::bigint, b)",
)
NAMED = (
    "SELECT m.person_id, m.range_low AS a, m.range_high AS b, m.value_as_number AS x, m.measurement_date AS d, "
    "m.measurement_datetime AS t FROM omop.measurement m"
)


@pytest.mark.parametrize("number", ["smallint", "integer", "bigint", "numeric", "double precision"])
async def test_as_in_postgresql(own_site: Any, guard: Guard, number: str) -> None:
    connection = await asyncpg.connect(own_site.owner_url)
    try:
        await connection.execute(
            f"UPDATE omop.measurement SET range_low = 7 + person_id % 3, range_high = 2 + person_id % 5, "
            f"measurement_datetime = measurement_date; "
            f"ALTER TABLE omop.measurement ALTER range_low TYPE {number}, ALTER range_high TYPE {number}"
        )
        for expression in SAME:
            if "%" in expression and number == "double precision" and "x" not in expression:
                continue  # PostgreSQL has no such operator
            query = f"SELECT n.person_id, {expression} AS v FROM ({NAMED}) n"
            rows = "SELECT md5(string_agg(v::text, ',' ORDER BY person_id, v)), pg_typeof(min(v)) FROM ({}) q"
            native = await connection.fetchrow(rows.format(query))
            assert tuple(await connection.fetchrow(rows.format(guard(query).sql))) == tuple(native), expression
    finally:
        await connection.close()


async def test_every_function_is_cheap_to_call(site: Any) -> None:
    """Functions within functions: SQL functions that PostgreSQL cannot write out cost ten times as much."""
    connection = await asyncpg.connect(site.owner_url)
    try:
        kinds = await connection.fetch(
            "SELECT DISTINCT l.lanname, p.provolatile, p.proisstrict, p.proparallel FROM pg_proc p "
            "JOIN pg_language l ON l.oid = p.prolang WHERE p.pronamespace = 'flip_math'::regnamespace"
        )
    finally:
        await connection.close()
    assert [tuple(kind) for kind in kinds] == [("plpgsql", b"i", True, b"s")]

"""Cohort statistics in one statement: the guarded query runs once, is kept by the database, and only bins come out.

Edges of numeric bins are round numbers between the values of people who have at least a threshold of others below or
above them, and the outer bins are open: no edge is anybody's value, and no few people, however far out, move one.
"""
# ruff: noqa: S608 - the SQL is made of constants, checked names and the guard's own re-emitted text

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

from flip_common.web import Problem
from flip_common.wire import ColumnStatistics, DisclosedCount
from flip_trust.data_access.database import Database
from flip_trust.data_access.freezing import STUDIES
from flip_trust.data_access.guard import GuardedQuery
from flip_trust.disclosure import Disclosure

MAX_KEPT_BINS = 40
MISSING = "(missing)"
BINS_PER_SPREAD = 10
TAIL = 0.025
"""Share of people beyond the first and beyond the last edge of a numeric column."""

Kind = Literal["numeric", "categorical", "date"]
_NUMERIC = re.compile(r"int2|int4|int8|float4|float8|numeric")
_INTEGER = re.compile(r"int2|int4|int8")
_DATE = re.compile(r"date|timestamp|timestamptz")
_TEXT = re.compile(r"text|varchar|bpchar|bool")


@dataclass(frozen=True)
class Described:
    """A column to describe."""

    name: str
    kind: Kind
    integer: bool


@dataclass(frozen=True)
class Statistics:
    """What may leave about a cohort."""

    subjects: DisclosedCount
    columns: list[ColumnStatistics]


async def cohort_statistics(database: Database, query: GuardedQuery, disclosure: Disclosure) -> Statistics:
    """Distinct subjects of a query, and the distribution of each column that may be described.

    Raises:
        Problem: the query fails in the database, or the database is down.
    """
    async with database.transaction(readonly=True) as connection:
        prepared = await connection.prepare(query.sql)
        columns = described_columns(query, prepared.get_attributes())
        rows = await connection.fetch(statistics_sql(query, columns, disclosure.threshold))
    total = next(row["n"] for row in rows if row["col"] < 0)
    subjects = disclosure.count(total)
    if subjects.suppressed:
        return Statistics(subjects, [])
    return Statistics(
        subjects,
        [
            _column(column, [row for row in rows if row["col"] == index], total, disclosure)
            for index, column in enumerate(columns)
        ],
    )


def described_columns(query: GuardedQuery, attributes: Sequence[asyncpg.Attribute]) -> list[Described]:
    """Columns to describe, by the types that the database gives them.

    Raises:
        Problem: 422 `unsupported_type`.
    """
    columns = []
    for attribute in attributes:
        if attribute.name not in query.described:
            continue
        kind, integer = _kind(attribute.name, attribute.type.name)
        columns.append(Described(attribute.name, kind, integer))
    return columns


def _kind(name: str, sql_type: str) -> tuple[Kind, bool]:
    if _DATE.fullmatch(sql_type):
        return "date", False
    if _NUMERIC.fullmatch(sql_type) and not name.endswith("concept_id"):
        return "numeric", bool(_INTEGER.fullmatch(sql_type))
    if _NUMERIC.fullmatch(sql_type) or _TEXT.fullmatch(sql_type):
        return "categorical", False
    raise Problem(
        422, "unsupported_type", f"column {name} has type {sql_type}; cast it to a number, text, boolean or date"
    )


def statistics_sql(query: GuardedQuery, columns: Sequence[Described], threshold: int) -> str:
    """The one statement: rows of (col, bin, n, rest, step, low, high); col -1 holds the number of distinct subjects."""
    with_ = [f"cohort AS MATERIALIZED ({_cohort(query, columns)})"]
    # Where nobody has two rows, counting rows counts subjects, at a fraction of the cost.
    with_.append("total AS MATERIALIZED (SELECT count(DISTINCT s) AS n, count(s) AS r FROM cohort)")
    final = [
        "SELECT -1 AS col, NULL::text AS bin, n, false AS rest, "
        "NULL::float8 AS step, NULL::float8 AS low, NULL::float8 AS high FROM total"
    ]
    for i, column in enumerate(columns):
        source, value, extra = "cohort", f"c{i}", "NULL::float8, NULL::float8, NULL::float8"
        if column.kind == "numeric":
            with_.append(_bounds(i, column.integer, threshold))
            source = f"cohort, bounds{i}"
            # GREATEST and LEAST pass over NULL, which would put a missing value into the first bin.
            # Clamped before the division: a value far out must not overflow.
            value = f"CASE WHEN c{i} IS NOT NULL THEN floor(least(greatest(c{i}, first), last) / step) END"
            extra = "step, low, high"
        with_.append(
            f"h{i} AS MATERIALIZED ("
            f"SELECT {value} AS b, count(*) AS n FROM {source} WHERE (SELECT n = r FROM total) GROUP BY 1 UNION ALL "
            f"SELECT b, count(*) FROM (SELECT DISTINCT {value} AS b, s FROM {source} "
            "WHERE (SELECT n <> r FROM total)) d GROUP BY b)"
        )
        with_.append(
            f"k{i} AS MATERIALIZED (SELECT b, n, n >= {threshold} AND "
            f"row_number() OVER (ORDER BY n DESC, b) <= {MAX_KEPT_BINS} AS kept FROM h{i})"
        )
        bounds = f" CROSS JOIN bounds{i}" if column.kind == "numeric" else ""
        final.append(f"SELECT {i}, coalesce(b::text, '{MISSING}'), n, false, {extra} FROM k{i}{bounds} WHERE kept")
        final.append(
            f"SELECT {i}, NULL, count(DISTINCT s), true, NULL, NULL, NULL FROM {source} "
            f"WHERE EXISTS (SELECT FROM k{i} WHERE NOT kept) "
            f"AND coalesce({value}::text, '') IN (SELECT coalesce(b::text, '') FROM k{i} WHERE NOT kept)"
        )
    return f"WITH {', '.join(with_)} " + " UNION ALL ".join(final)


def _cohort(query: GuardedQuery, columns: Sequence[Described]) -> str:
    subject = "q.person_id" if query.has_person else "io.person_id"
    values = [f"{_value(column)} AS c{i}" for i, column in enumerate(columns)]
    sql = f"SELECT {', '.join([f'{subject} AS s', *values])} FROM ({query.sql}) AS q"
    if not query.has_person:
        sql += f" JOIN ({STUDIES}) AS io ON io.accession_id = q.accession_id"
    return f"{sql} WHERE {subject} IS NOT NULL"


def _value(column: Described) -> str:
    name = f'q."{column.name}"'
    if column.kind == "numeric":
        # NaN and infinity have no place on an axis.
        return name if column.integer else f"nullif(nullif(nullif({name}, 'NaN'), 'Infinity'), '-Infinity')::float8"
    if column.kind == "date":
        return f"CASE WHEN isfinite({name}) THEN extract(year FROM {name})::int END"
    return f'left({name}::text, 180) COLLATE "C"'


def _bounds(i: int, integer: bool, threshold: int) -> str:
    """Step (1, 2 or 5 times a power of ten) and the first and last bin: those of the person at `TAIL` from each end.

    Never of one with less than a threshold of people further out. A mean or a deviation would not do: one person's
    value, made large by the query, would show in them. Each person stands with the least and the largest value.
    """
    least_step = "1" if integer else "1e-9"
    return (
        f"people{i} AS MATERIALIZED ("
        f"SELECT c{i}::float8 AS a, c{i}::float8 AS z FROM cohort WHERE c{i} IS NOT NULL AND (SELECT n = r FROM total) "
        f"UNION ALL SELECT min(c{i})::float8, max(c{i})::float8 FROM cohort "
        f"WHERE c{i} IS NOT NULL AND (SELECT n <> r FROM total) GROUP BY s), "
        f"rank{i} AS MATERIALIZED (SELECT greatest({threshold}, ceil(count(*) * {TAIL}))::bigint - 1 AS k "
        f"FROM people{i}), "
        f"tails{i} AS MATERIALIZED (SELECT "
        f"coalesce((SELECT a FROM people{i} ORDER BY a LIMIT 1 OFFSET (SELECT k FROM rank{i})), 0) AS one, "
        f"coalesce((SELECT z FROM people{i} ORDER BY z DESC LIMIT 1 OFFSET (SELECT k FROM rank{i})), 0) AS two), "
        f"bounds{i} AS MATERIALIZED (SELECT step, first, last, floor(first / step) AS low, floor(last / step) AS high "
        f"FROM (SELECT first, last, greatest({least_step}, p * "
        "CASE WHEN raw <= p THEN 1 WHEN raw <= 2 * p THEN 2 WHEN raw <= 5 * p THEN 5 ELSE 10 END)::float8 AS step "
        "FROM (SELECT first, last, raw, 10 ^ floor(log(raw)) AS p FROM (SELECT first, last, greatest("
        f"last / {BINS_PER_SPREAD} - first / {BINS_PER_SPREAD}, abs(first) * 1e-9, abs(last) * 1e-9, 1e-9) AS raw "
        f"FROM (SELECT least(one, two) AS first, greatest(one, two) AS last FROM tails{i}) v) x) y) w)"
    )


def _column(column: Described, rows: list[asyncpg.Record], total: int, disclosure: Disclosure) -> ColumnStatistics:
    other = sum(row["n"] for row in rows if row["rest"])
    kept = [row for row in rows if not row["rest"]]
    missing = [(MISSING, row["n"]) for row in kept if row["bin"] == MISSING]
    kept = [row for row in kept if row["bin"] != MISSING]
    if column.kind == "numeric":
        kept.sort(key=lambda row: float(row["bin"]))
        bins = [(_numeric_label(row), row["n"]) for row in kept]
    elif column.kind == "date":
        kept.sort(key=lambda row: int(row["bin"]))
        bins = [(row["bin"], row["n"]) for row in kept]
    else:
        # By rounded count, then name: an order by exact counts would say which of two equal bins is larger.
        kept.sort(key=lambda row: (-(disclosure.count(row["n"]).value or 0), row["bin"]))
        bins = [(row["bin"], row["n"]) for row in kept]
    return disclosure.histogram(column.name, column.kind, bins + missing, total=total, other=other)


def _numeric_label(row: asyncpg.Record) -> str:
    index, step = float(row["bin"]), row["step"]
    digits = max(0, -math.floor(math.log10(step)))
    start, end = f"{index * step:.{digits}f}", f"{(index + 1) * step:.{digits}f}"
    if row["low"] == row["high"]:
        return "all values"
    if index == row["low"]:
        return f"< {end}"
    if index == row["high"]:
        return f"≥ {start}"
    return f"{start} – {end}"

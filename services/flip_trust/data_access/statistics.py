"""Cohort statistics: distinct subjects of a query, and disclosure-controlled distributions of its columns."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from flip_common.web import Problem
from flip_common.wire import ColumnStatistics, DisclosedCount
from flip_trust.data_access.binning import Described, Kind, statistics_sql
from flip_trust.data_access.guard import GuardedQuery
from flip_trust.disclosure import OTHER, Disclosure

MISSING = "(missing)"

_NUMERIC = re.compile(r"int2|int4|int8|float4|float8|numeric")
_INTEGER = re.compile(r"int2|int4|int8")
_DATE = re.compile(r"date|timestamp|timestamptz")
_TEXT = re.compile(r"text|varchar|bpchar|bool")


@dataclass(frozen=True)
class Statistics:
    """What may leave about a cohort."""

    subjects: DisclosedCount
    columns: list[ColumnStatistics]


async def cohort_statistics(
    connection: asyncpg.Connection, query: GuardedQuery, disclosure: Disclosure, budget: int
) -> Statistics:
    """Distinct subjects of a query, and the distribution of each column that may be described.

    Args:
        connection: the reading role's, in a read-only transaction.
        query: what the guard let through.
        disclosure: the site's rule for small numbers.
        budget: bins of the answer that one person may be counted in, so also the most columns to describe.

    Raises:
        Problem: 422 `too_many_columns` or `unsupported_type`.
        asyncpg.PostgresError, OSError: the query fails in the database, or the database is down.
    """
    if len(query.described) > budget:
        raise Problem(
            422,
            "too_many_columns",
            f"the query selects {len(query.described)} columns that have a distribution; this site shows at most "
            f"{budget} in one answer (COHORT_QUERY_BINS_PER_PERSON): select fewer, an app may read more later",
        )
    prepared = await connection.prepare(query.sql)
    columns = described_columns(query, prepared.get_attributes())
    rows = await connection.fetch(statistics_sql(query, columns, disclosure, budget))
    subjects = disclosure.count(next(row["n"] for row in rows if row["col"] < 0))
    if subjects.suppressed:
        return Statistics(subjects, [])
    return Statistics(
        subjects,
        [
            _column(column, [row for row in rows if row["col"] == index], disclosure)
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


def _column(column: Described, rows: list[asyncpg.Record], disclosure: Disclosure) -> ColumnStatistics:
    rest = [row for row in rows if row["unseen"] is not None]
    kept = [row for row in rows if row["unseen"] is None]
    missing = [(MISSING, row["n"]) for row in kept if row["bin"] is None]
    kept = [row for row in kept if row["bin"] is not None]
    if column.kind == "numeric":
        kept.sort(key=lambda row: float(row["bin"]))
        bins = [(_numeric_label(row), row["n"]) for row in kept]
    elif column.kind == "date":
        kept.sort(key=lambda row: int(row["bin"]))
        bins = [(row["bin"], row["n"]) for row in kept]
    else:
        # By rounded count, then name: an order by exact counts would say which of two equal bins is larger.
        kept.sort(key=lambda row: (-(disclosure.count(row["n"]).value or 0), row["bin"]))
        bins = [(_label(row["bin"]), row["n"]) for row in kept]
    merged, unseen = (rest[0]["n"], rest[0]["unseen"]) if rest else (0, 0)
    return disclosure.histogram(column.name, column.kind, bins + missing, merged=merged, unseen=unseen)


def _label(value: str) -> str:
    return f"{value} (a value)" if value in (OTHER, MISSING) else value


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

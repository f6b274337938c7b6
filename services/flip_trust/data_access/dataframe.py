"""Rows for an app that trains at the site: only of the project's frozen cohort, joined in the database."""
# ruff: noqa: S608 - the SQL is made of constants, checked names and the guard's own re-emitted text

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import asyncpg

from flip_common.web import Problem
from flip_trust.data_access.catalogue import SCHEMA
from flip_trust.data_access.database import Database
from flip_trust.data_access.freezing import Members
from flip_trust.data_access.guard import GuardedQuery
from flip_trust.data_access.schemas import Cell, Dataframe, DataframeColumn, Dtype

PREFETCH_ROWS = 5_000

_DTYPES: MappingProxyType[str, Dtype] = MappingProxyType(
    {
        "int2": "int64",
        "int4": "int64",
        "int8": "int64",
        "float4": "float64",
        "float8": "float64",
        "numeric": "float64",
        "bool": "bool",
        "text": "string",
        "varchar": "string",
        "bpchar": "string",
        "date": "date",
        "timestamp": "datetime",
        "timestamptz": "datetime",
    }
)


def _finite(value: float | Decimal) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _iso(value: date | datetime) -> str:
    return value.isoformat()


_CONVERT: MappingProxyType[str, Callable[[Any], Cell]] = MappingProxyType(
    {"float64": _finite, "date": _iso, "datetime": _iso}
)


async def read_dataframe(reader: Database, members: Members, query: GuardedQuery, row_cap: int) -> Dataframe:
    """Runs the query over the frozen cohort's subjects and studies.

    Raises:
        Problem: 422 for too many rows, a type that cannot travel, or a failing query;
            503 when the database is down.
    """
    async with reader.transaction(readonly=True) as connection:
        sql, arguments = _restricted(query, members)
        prepared = await connection.prepare(sql)
        columns = [_column(attribute) for attribute in prepared.get_attributes()]
        convert = [_CONVERT.get(column.dtype) for column in columns]
        rows: list[list[Cell]] = []
        async for record in prepared.cursor(*arguments, prefetch=PREFETCH_ROWS):
            if len(rows) >= row_cap:
                raise Problem(
                    422, "too_many_rows", f"the query gives more than {row_cap} rows; select fewer, or aggregate"
                )
            rows.append(
                [
                    function(value) if function is not None and value is not None else value
                    for function, value in zip(convert, record, strict=True)
                ]
            )
    return Dataframe.model_construct(columns=columns, rows=rows)


def _restricted(query: GuardedQuery, members: Members) -> tuple[str, list[list[str]]]:
    sql = f"SELECT q.* FROM ({query.sql}) AS q WHERE "
    person = "EXISTS (SELECT FROM unnest($1::text[]) AS f(id) WHERE f.id::bigint = q.person_id)"
    if not query.has_accession:
        return sql + person, [members.persons]
    if not query.has_person:
        # The study must still be the one person's that was frozen.
        study = (
            "EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS f(accession, id) "
            f"JOIN {SCHEMA}.image_occurrence io ON io.accession_id = f.accession AND io.person_id = f.id::bigint "
            "WHERE f.accession = q.accession_id)"
        )
        return sql + study, [members.accessions, members.accession_persons]
    study = (
        "(q.accession_id IS NULL OR EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS f(accession, id) "
        "WHERE f.accession = q.accession_id AND f.id::bigint = q.person_id))"
    )
    return f"{sql}{person} AND {study}", [members.persons, members.accessions, members.accession_persons]


def _column(attribute: asyncpg.Attribute) -> DataframeColumn:
    dtype = _DTYPES.get(attribute.type.name)
    if dtype is None:
        raise Problem(
            422,
            "unsupported_type",
            f"column {attribute.name} has type {attribute.type.name}; cast it to a number, text, boolean or date",
        )
    return DataframeColumn(name=attribute.name, dtype=dtype)

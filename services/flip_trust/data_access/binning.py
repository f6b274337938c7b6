"""The SQL of cohort statistics: one statement in which the guarded query runs once and only bins come out.

Edges of numeric bins are round numbers between the values of people who have at least a threshold of others below or
above them, and the outer bins are open: no edge is anybody's value, and no few people, however far out, move one.

Nobody is counted in more bins of one answer than a budget allows, because bins that overlap can be subtracted: the
budget is shared among the columns, and somebody with more values than the share is counted in some of them, drawn by a
hash of the value and the person.
"""
# ruff: noqa: S608 - the SQL is made of constants, checked names and the guard's own re-emitted text

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flip_trust.data_access.freezing import STUDIES
from flip_trust.data_access.guard import GuardedQuery
from flip_trust.disclosure import Disclosure

MAX_KEPT_BINS = 40
BINS_PER_SPREAD = 10
TAIL = 0.025
"""Share of people beyond the first and beyond the last edge of a numeric column."""

Kind = Literal["numeric", "categorical", "date"]
_ONE_ROW_EACH, _SEVERAL_ROWS = "(SELECT n = r FROM total)", "(SELECT n <> r FROM total)"


@dataclass(frozen=True)
class Described:
    """A column to describe."""

    name: str
    kind: Kind
    integer: bool


def statistics_sql(query: GuardedQuery, columns: Sequence[Described], disclosure: Disclosure, budget: int) -> str:
    """The one statement, for 1 to `budget` columns or none.

    It gives rows of (col, bin, n, unseen, step, low, high):
        col -1: the number of distinct subjects.
        unseen is null: a bin that may be shown; a null `bin` is the missing value.
        unseen is set: `n` distinct subjects are in bins that may not be shown, `unseen` of them in no other.
    """
    # Where nobody has two rows, counting rows counts subjects, at a fraction of the cost.
    with_ = [
        f"cohort AS MATERIALIZED ({_cohort(query, columns)})",
        "total AS MATERIALIZED (SELECT count(DISTINCT s) AS n, count(s) AS r FROM cohort)",
    ]
    final = [
        "SELECT -1 AS col, NULL::text AS bin, n, NULL::bigint AS unseen, "
        "NULL::float8 AS step, NULL::float8 AS low, NULL::float8 AS high FROM total"
    ]
    for i, column in enumerate(columns):
        numeric = column.kind == "numeric"
        if numeric:
            with_ += _bounds(i, column.integer, disclosure.threshold)
        with_ += _bins(i, numeric, disclosure, budget // len(columns))
        edges, bounds = ("step, low, high", f" CROSS JOIN bounds{i}") if numeric else ("NULL, NULL, NULL", "")
        final.append(f"SELECT {i}, b::text, n, NULL, {edges} FROM k{i}{bounds} WHERE kept")
        final.append(f"SELECT {i}, NULL, merged, unseen, NULL, NULL, NULL FROM rest{i}")
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
    if column.kind == "date":
        return f"CASE WHEN isfinite({name}) THEN date_part('year', {name})::int END"
    if column.kind == "categorical":
        return f'left({name}::text, 180) COLLATE "C"'
    if column.integer:
        return f"{name}::float8"
    # NaN and infinity have no place on an axis, and what float8 cannot hold must not become an error.
    return (
        f"(CASE WHEN {name} BETWEEN 1e-300 AND 1e300 OR {name} BETWEEN -1e300 AND -1e-300 THEN {name} "
        f"WHEN {name} BETWEEN -1e-300 AND 1e-300 THEN 0 "
        f"WHEN {name} NOT IN ('NaN', 'Infinity', '-Infinity') THEN sign({name}) * 1e300 END)::float8"
    )


def _bounds(i: int, integer: bool, threshold: int) -> list[str]:
    """Step (1, 2 or 5 times a power of ten) and the first and last bin: those of the person at `TAIL` from each end.

    Never of one with less than a threshold of people further out. A mean or a deviation would not do: one person's
    value, made large by the query, would show in them. Each person stands with the least and the largest value.
    """
    least_step = "1" if integer else "1e-9"
    return [
        f"f{i} AS MATERIALIZED (SELECT c{i} AS x, count(*) AS n FROM cohort WHERE {_ONE_ROW_EACH} GROUP BY 1)",
        f"people{i} AS MATERIALIZED (SELECT min(c{i}) AS a, max(c{i}) AS z FROM cohort "
        f"WHERE c{i} IS NOT NULL AND {_SEVERAL_ROWS} GROUP BY s)",
        f"rank{i} AS MATERIALIZED (SELECT greatest({threshold}, ceil(coalesce(sum(n), 0) * {TAIL})) AS k FROM "
        f"(SELECT n FROM f{i} WHERE x IS NOT NULL UNION ALL SELECT count(*) FROM people{i}) u)",
        f"tails{i} AS MATERIALIZED (SELECT coalesce({_tail(i, 'a', 'min', 'ASC')}, 0) AS one, "
        f"coalesce({_tail(i, 'z', 'max', 'DESC')}, 0) AS two)",
        f"bounds{i} AS MATERIALIZED (SELECT step, first, last, floor(first / step) AS low, floor(last / step) AS high "
        f"FROM (SELECT first, last, greatest({least_step}, p * "
        "CASE WHEN raw <= p THEN 1 WHEN raw <= 2 * p THEN 2 WHEN raw <= 5 * p THEN 5 ELSE 10 END)::float8 AS step "
        "FROM (SELECT first, last, raw, 10 ^ floor(log(raw)) AS p FROM (SELECT first, last, greatest("
        f"last / {BINS_PER_SPREAD} - first / {BINS_PER_SPREAD}, abs(first) * 1e-9, abs(last) * 1e-9, 1e-9) AS raw "
        f"FROM (SELECT least(one, two) AS first, greatest(one, two) AS last FROM tails{i}) v) x) y) w)",
    ]


def _tail(i: int, end: str, nearest: str, order: str) -> str:
    """The value of the person who stands k-th from one end."""
    values = f"SELECT x, n FROM f{i} WHERE x IS NOT NULL UNION ALL SELECT {end}, count(*) FROM people{i} GROUP BY 1"
    upto = f"SELECT x, sum(n) OVER (ORDER BY x {order}) AS upto FROM ({values}) d"
    return f"(SELECT {nearest}(x) FROM ({upto}) c WHERE upto >= (SELECT k FROM rank{i}))"


def _bins(i: int, numeric: bool, disclosure: Disclosure, share: int) -> list[str]:
    if numeric:
        # Clamped before the division: a value far out must not overflow. A missing value stays missing, although
        # GREATEST and LEAST pass over it.
        bin_of = "CASE WHEN {x} IS NOT NULL THEN floor(least(greatest({x}, first), last) / step) END"
        single = f"SELECT {bin_of.format(x='x')} AS b, sum(n)::bigint AS n FROM f{i}, bounds{i} GROUP BY 1"
        value, source = bin_of.format(x=f"c{i}"), f"cohort, bounds{i}"
    else:
        value, source = f"c{i}", "cohort"
        single = f"SELECT c{i} AS b, count(*) AS n FROM cohort WHERE {_ONE_ROW_EACH} GROUP BY 1"
    distinct = f"SELECT DISTINCT {value} AS b, s FROM {source} WHERE {_SEVERAL_ROWS}"
    # By rounded count, then value: which bins are kept must not compare exact counts.
    size = f"(2 * n + {disclosure.rounding}) / {2 * disclosure.rounding}"
    seen = f"k.b IS NOT NULL OR v.b IS NULL AND EXISTS (SELECT FROM k{i} WHERE b IS NULL AND kept)"
    return [
        f"d{i} AS MATERIALIZED ({distinct})",
        f"over{i} AS MATERIALIZED (SELECT s FROM d{i} GROUP BY s HAVING count(*) > {share})",
        f"v{i} AS MATERIALIZED (SELECT b, s FROM d{i} WHERE NOT EXISTS (SELECT FROM over{i} o WHERE o.s = d{i}.s) "
        "UNION ALL SELECT b, s FROM (SELECT b, s, row_number() OVER "
        "(PARTITION BY s ORDER BY hashtextextended(coalesce(b::text, ''), s), b) AS place "
        f"FROM d{i} WHERE EXISTS (SELECT FROM over{i} o WHERE o.s = d{i}.s)) p WHERE place <= {share})",
        f"h{i} AS MATERIALIZED ({single} UNION ALL SELECT b, count(*) FROM v{i} GROUP BY b)",
        f"k{i} AS MATERIALIZED (SELECT b, n, n >= {disclosure.threshold} AND "
        f"row_number() OVER (ORDER BY {size} DESC, b) <= {MAX_KEPT_BINS} AS kept FROM h{i})",
        f"rest{i} AS MATERIALIZED (SELECT sum(n)::bigint AS merged, sum(n)::bigint AS unseen FROM k{i} "
        f"WHERE NOT kept AND {_ONE_ROW_EACH} HAVING count(*) > 0 UNION ALL "
        "SELECT count(*) FILTER (WHERE NOT all_seen), count(*) FILTER (WHERE NOT any_seen) FROM "
        "(SELECT bool_and(seen) AS all_seen, bool_or(seen) AS any_seen FROM "
        f"(SELECT v.s, {seen} AS seen FROM v{i} v LEFT JOIN (SELECT b FROM k{i} WHERE kept) k ON k.b = v.b "
        f"WHERE EXISTS (SELECT FROM k{i} WHERE NOT kept) AND {_SEVERAL_ROWS}) w GROUP BY s) p HAVING count(*) > 0)",
    ]

"""Arithmetic that cannot fail: a calculation that fails for one person only would answer a question on that person.

PostgreSQL's operators and casts raise errors where a number leaves its type. Here they are exchanged for functions of
schema `flip_math` that give NULL instead, and what cannot be exchanged is refused by its text alone, before any row is
read. PostgreSQL itself picks the overload, so types work as they do with the operators.
"""

import re

from sqlglot import exp

from flip_trust.data_access.refusal import QueryRefused

SCHEMA = "flip_math"
MAX_CONCATENATIONS = 10

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "plus",
    exp.Sub: "minus",
    exp.Mul: "times",
    exp.Div: "over",
    exp.Mod: "rest",
}
_FUNCTIONS: dict[type[exp.Expr], str] = {exp.Abs: "absolute", exp.Neg: "negative"}
_CASTS = {
    exp.DType.SMALLINT: "to_int",
    exp.DType.INT: "to_int",
    exp.DType.BIGINT: "to_bigint",
    exp.DType.FLOAT: "to_float",
    exp.DType.DOUBLE: "to_float",
}
# Parts that a date has; of a finer one PostgreSQL finds only while it runs that a date has it not.
_DATE_PARTS = frozenset(
    ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DECADE", "CENTURY", "DOW", "DOY", "ISODOW", "ISOYEAR", "EPOCH"]
)
_TRUNC_PARTS = frozenset(["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"])
_INTERVAL = re.compile(r"\d{1,5} *(day|week|month|year)s?", re.IGNORECASE)
# Dates that timestamps cannot hold: years of five digits and more, and day numbers (J...). 20161231 is none of them.
_FAR_DATE = re.compile(r"(?<![\d.])(\d{5,7}|\d{9,})(?!\d)|J\d{5,}", re.IGNORECASE)
_INTEGER = re.compile(r"-?\d{1,9}")


def functions() -> list[str]:
    """Statements that make schema `flip_math`."""
    made = [f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", f"REVOKE ALL ON SCHEMA {SCHEMA} FROM PUBLIC"]

    def make(name: str, arguments: str, result: str, body: str) -> None:
        # PL/pgSQL, as PostgreSQL evaluates an SQL function anew for every row where it cannot write it out, and it
        # cannot where an argument that is itself a calculation stands in it twice.
        made.append(
            f"CREATE OR REPLACE FUNCTION {SCHEMA}.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql "
            f"IMMUTABLE STRICT PARALLEL SAFE AS $$BEGIN RETURN CASE {body} END; END$$"
        )

    # smallint, too: PostgreSQL would take the overload for float8.
    for number, wide, limit in (
        ("int2", "int4", 2**15 - 1),
        ("int4", "int8", 2**31 - 1),
        ("int8", "numeric", 2**63 - 1),
    ):
        both = f"a {number}, b {number}"
        for name, sign in (("plus", "+"), ("minus", "-"), ("times", "*")):
            value = f"a::{wide} {sign} b::{wide}"
            make(name, both, number, f"WHEN {value} BETWEEN {-limit} AND {limit} THEN ({value})::{number}")
        make("over", both, number, f"WHEN b <> 0 AND a >= {-limit} THEN a / b")
        make("rest", both, number, "WHEN b <> 0 THEN a % b")
        make("absolute", f"a {number}", number, f"WHEN a >= {-limit} THEN abs(a)")
        make("negative", f"a {number}", number, f"WHEN a >= {-limit} THEN -a")
    for number, big in (("numeric", "1e100"), ("float8", "1e140")):
        both, small = f"a {number}, b {number}", f"1 / {big}::{number}"
        fit = f"abs(a) <= {big} AND abs(b) <= {big}"
        tiny = f"(a = 0 OR abs(a) >= {small}) AND abs(b) >= {small}"
        for name, sign in (("plus", "+"), ("minus", "-")):
            # A difference of almost equal numbers may be smaller than any float8.
            value = f"a {sign} b"
            make(name, both, number, f"WHEN {fit} AND ({value} = 0 OR abs({value}) >= {small}) THEN {value}")
        make("times", both, number, f"WHEN a = 0 OR b = 0 THEN 0 WHEN {fit} AND {tiny} THEN a * b")
        make("over", both, number, f"WHEN {fit} AND {tiny} THEN a / b")
        make("bounded", f"a {number}", number, f"WHEN abs(a) <= {big} THEN a")
        make("absolute", f"a {number}", number, "WHEN true THEN abs(a)")
        make("negative", f"a {number}", number, "WHEN true THEN -a")
        make("to_float", f"a {number}", "float8", f"WHEN a = 0 OR abs(a) BETWEEN {small} AND {big} THEN a")
        make("to_int", f"a {number}", "int4", f"WHEN abs(a) <= {2**31 - 2} THEN a::int4")
        make("to_bigint", f"a {number}", "int8", f"WHEN abs(a) <= {2**62} THEN a::int8")
    rest = "WHEN b <> 0 AND abs(a) <= 1e100 AND (a % b = 0 OR abs(a % b) >= 1 / 1e100) THEN a % b"
    make("rest", "a numeric, b numeric", "numeric", rest)
    for number in ("int2", "int4", "int8"):
        make("bounded", f"a {number}", number, "WHEN true THEN a")
        make("to_float", f"a {number}", "float8", "WHEN true THEN a::float8")
        make("to_bigint", f"a {number}", "int8", f"WHEN a > {-(2**63)} THEN a::int8")
        make("to_int", f"a {number}", "int4", f"WHEN a BETWEEN {1 - 2**31} AND {2**31 - 1} THEN a::int4")
    for name, number in (("to_int", "int4"), ("to_bigint", "int8")):
        make(name, "a boolean", number, "WHEN a THEN 1 WHEN NOT a THEN 0")
    for moment in ("date", "timestamp"):
        within = f"a BETWEEN {moment} '0001-01-01' AND {moment} '9999-12-31'"
        for name, sign in (("plus", "+"), ("minus", "-")):
            near = "b BETWEEN interval '-4000 years' AND interval '4000 years'"
            make(name, f"a {moment}, b interval", "timestamp", f"WHEN {within} AND {near} THEN a {sign} b")
            if moment == "date":
                make(name, "a date, b int4", "date", f"WHEN {within} AND abs(b::int8) < 1000000 THEN a {sign} b")
        make("plus", f"a interval, b {moment}", "timestamp", f"WHEN true THEN {SCHEMA}.plus(b, a)")
    make("plus", "a int4, b date", "date", f"WHEN true THEN {SCHEMA}.plus(b, a)")
    make("minus", "a date, b date", "int4", "WHEN isfinite(a) AND isfinite(b) THEN a - b")
    return made


def make_total(tree: exp.Expr) -> None:
    """Exchanges, in place, all in a checked tree that could fail on one row's data.

    Raises:
        QueryRefused: a part that cannot be exchanged.
    """
    if sum(1 for _ in tree.find_all(exp.DPipe)) > MAX_CONCATENATIONS:
        raise QueryRefused("too_big", "the query joins many texts", f"use || at most {MAX_CONCATENATIONS} times", "||")
    for node in list(tree.walk(bfs=False))[::-1]:  # from the inside out: an exchanged part is a part of the next
        _check(node)
        if (name := _OPERATORS.get(type(node))) is not None:
            node.replace(_call(name, node.this, node.expression))
        elif (name := _FUNCTIONS.get(type(node))) is not None and not isinstance(node.this, exp.Literal):
            node.replace(_call(name, node.this))
        elif isinstance(node, exp.Sum | exp.Avg):
            node.set("this", _bounded(node.this))
        elif (
            isinstance(node, exp.Cast) and node.to.this in _CASTS and not isinstance(node.this, exp.Literal | exp.Null)
        ):
            node.replace(_call(_CASTS[node.to.this], node.this))


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=f"{SCHEMA}.{name}", expressions=[item.copy() for item in arguments])


def _bounded(value: exp.Expr) -> exp.Expr:
    if isinstance(value, exp.Distinct):
        return exp.Distinct(expressions=[_call("bounded", item) for item in value.expressions])
    return _call("bounded", value)


def _check(node: exp.Expr) -> None:
    if isinstance(node, exp.Literal) and not node.is_string:
        number = float(node.this)
        if len(node.this) > 40 or number > 1e100 or 0 < number < 1e-100:
            raise QueryRefused("number", "a number is too large or too small", "stay within 1e-100 and 1e100", node)
    elif isinstance(node, exp.Like | exp.ILike):
        pattern = node.expression
        if not (isinstance(pattern, exp.Literal) and pattern.is_string and "\\" not in pattern.this):
            raise QueryRefused("pattern", "a pattern is no plain text", "write LIKE 'text%' without backslash", node)
    elif isinstance(node, exp.Extract | exp.TimestampTrunc):
        is_extract = isinstance(node, exp.Extract)
        unit = (node.name if is_extract else node.text("unit")).upper()
        allowed = _DATE_PARTS if is_extract else _TRUNC_PARTS
        if unit not in allowed:
            text = f"{unit[:40].lower()!r} may not be taken of a date"
            raise QueryRefused("date_part", text, f"use one of {', '.join(sorted(allowed)).lower()}", node)
    elif isinstance(node, exp.PercentileCont | exp.PercentileDisc):
        share = node.this
        if not (isinstance(share, exp.Literal) and not share.is_string and float(share.this) <= 1):
            raise QueryRefused("percentile", "the share is no number from 0 to 1", "write percentile_disc(0.5)", node)
    elif isinstance(node, exp.Interval):
        _check_interval(node)
    elif isinstance(node, exp.Cast):
        _check_cast(node)


def _check_interval(node: exp.Interval) -> None:
    # Elsewhere it would give intervals, of which EXTRACT finds only while it runs which parts they have.
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    text = f"{node.name} {node.text('unit')}".strip()
    if not isinstance(parent, exp.Add | exp.Sub) or not _INTERVAL.fullmatch(text):
        raise QueryRefused(
            "interval",
            f"interval {text[:40]!r} is not added to a date, or is no number of days, weeks, months or years",
            "write date + INTERVAL '30 days'",
            node,
        )


def _check_cast(node: exp.Cast) -> None:
    target = node.to
    if target.expressions and not target.is_type(*exp.DataType.TEXT_TYPES):
        raise QueryRefused("cast", "a cast to a limited number fails on larger ones", "write numeric, or round()", node)
    if isinstance(node.this, exp.Literal) and node.this.is_string:
        if target.this in (exp.DType.DATE, exp.DType.TIMESTAMP) and _FAR_DATE.search(node.this.this):
            raise QueryRefused("cast", "the date has a year of more than four digits", "write '2016-12-31'", node)
        to_integer = target.this in (exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT)
        if to_integer and not _INTEGER.fullmatch(node.this.this):
            raise QueryRefused("cast", "the text is no integer of at most 9 digits", "write the number itself", node)

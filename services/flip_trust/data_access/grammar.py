"""What a query may be made of: allow-lists of syntax, functions, types and tables."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sqlglot import exp

from flip_trust.data_access.catalogue import REFUSED_TABLES, SCHEMA
from flip_trust.data_access.refusal import QueryRefused

MAX_JOINS = 20

FUNCTIONS: frozenset[type[exp.Func]] = frozenset(
    {
        exp.Abs,
        exp.Avg,
        exp.Ceil,
        exp.Coalesce,
        exp.Count,
        exp.CurrentDate,
        exp.DenseRank,
        exp.Extract,
        exp.Floor,
        exp.Greatest,
        exp.Least,
        exp.Length,
        exp.Lower,
        exp.Max,
        exp.Min,
        exp.Nullif,
        exp.PercentileCont,
        exp.PercentileDisc,
        exp.Rank,
        exp.Round,
        exp.RowNumber,
        exp.Sum,
        exp.TimestampTrunc,
        exp.Trim,
        exp.Upper,
    }
)
"""Functions that read nothing but their arguments; `totals` sees to it that none fails on unlucky data."""

_FUNCTION_NAMES = frozenset(
    "date_trunc" if function is exp.TimestampTrunc else function.sql_name().lower() for function in FUNCTIONS
)

_SYNTAX: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Add,
        exp.Alias,
        exp.And,
        exp.Between,
        exp.Boolean,
        exp.CTE,
        exp.Case,
        exp.Cast,
        exp.Column,
        exp.DPipe,
        exp.DataType,
        exp.DataTypeParam,
        exp.Distinct,
        exp.Div,
        exp.EQ,
        exp.Except,
        exp.Exists,
        exp.Filter,
        exp.From,
        exp.GT,
        exp.GTE,
        exp.Group,
        exp.Having,
        exp.ILike,
        exp.Identifier,
        exp.If,
        exp.In,
        exp.Intersect,
        exp.Interval,
        exp.Is,
        exp.Join,
        exp.LT,
        exp.LTE,
        exp.Like,
        exp.Literal,
        exp.Mod,
        exp.Mul,
        exp.NEQ,
        exp.Neg,
        exp.Not,
        exp.Null,
        exp.NullSafeEQ,
        exp.NullSafeNEQ,
        exp.Or,
        exp.Order,
        exp.Ordered,
        exp.Paren,
        exp.Select,
        exp.Star,
        exp.Sub,
        exp.Subquery,
        exp.Table,
        exp.TableAlias,
        exp.Union,
        exp.Var,
        exp.Where,
        exp.Window,
        exp.With,
        exp.WithinGroup,
    }
)
_TYPES = frozenset(
    {
        exp.DType.BIGINT,
        exp.DType.BOOLEAN,
        exp.DType.DATE,
        exp.DType.DECIMAL,
        exp.DType.DOUBLE,
        exp.DType.FLOAT,
        exp.DType.INT,
        exp.DType.SMALLINT,
        exp.DType.TEXT,
        exp.DType.TIMESTAMP,
        exp.DType.VARCHAR,
    }
)
# Parts that the nodes with the most clauses may have; anything else set on them is refused by name.
_PARTS: Mapping[type[exp.Expr], frozenset[str]] = MappingProxyType(
    {
        exp.Select: frozenset(
            {"with_", "expressions", "from_", "joins", "where", "group", "having", "order", "distinct"}
        ),
        exp.Union: frozenset({"with_", "this", "expression", "distinct"}),
        exp.Except: frozenset({"with_", "this", "expression", "distinct"}),
        exp.Intersect: frozenset({"with_", "this", "expression", "distinct"}),
        exp.Table: frozenset({"this", "db", "alias"}),
        exp.TableAlias: frozenset({"this"}),
        exp.Subquery: frozenset({"this", "alias"}),
        exp.CTE: frozenset({"this", "alias", "materialized"}),
        exp.With: frozenset({"expressions"}),
        exp.Join: frozenset({"this", "side", "kind", "on", "using"}),
        exp.Group: frozenset({"expressions"}),
        exp.Distinct: frozenset({"expressions"}),
        exp.In: frozenset({"this", "expressions", "query"}),
        exp.Star: frozenset(),
        exp.Window: frozenset({"this", "partition_by", "order", "over"}),
        exp.Column: frozenset({"this", "table"}),
        exp.Cast: frozenset({"this", "to"}),
    }
)
_REMEDIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "limit": ("row_picking", "a cohort is a condition, not a number of rows: remove LIMIT"),
        "fetch": ("row_picking", "a cohort is a condition, not a number of rows: remove FETCH"),
        "offset": ("row_picking", "a cohort is a condition, not a number of rows: remove OFFSET"),
        "on": ("row_picking", "DISTINCT ON picks rows: use ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY ...)"),
        "locks": ("lock", "remove FOR UPDATE / FOR SHARE"),
        "into": ("side_effect", "remove INTO: a query only reads"),
        "recursive": ("recursive", "write the CTE without RECURSIVE"),
        "sample": ("table_sample", "remove TABLESAMPLE"),
        "laterals": ("lateral", "use a join on person_id instead of LATERAL"),
        "columns": ("column_alias_list", "name columns with AS inside the subquery"),
        "method": ("natural_join", "write JOIN ... ON a.person_id = b.person_id"),
        "catalog": ("schema", f"name tables as {SCHEMA}.table"),
        "db": ("system_column", "name columns as alias.column"),
        "order": ("construct", "leave ORDER BY out: statistics have no order"),
        "spec": ("window_frame", "leave the window frame out"),
        "rows": ("table_function", "query a table of the OMOP CDM"),
    }
)
_NODES: Mapping[type[exp.Expr], tuple[str, str]] = MappingProxyType(
    {
        exp.Limit: _REMEDIES["limit"],
        exp.Fetch: _REMEDIES["fetch"],
        exp.Offset: _REMEDIES["offset"],
        exp.Into: _REMEDIES["into"],
        exp.Lock: _REMEDIES["locks"],
        exp.Lateral: _REMEDIES["laterals"],
        exp.TableSample: _REMEDIES["sample"],
        exp.Parameter: ("parameter", "write the value into the query"),
        exp.Placeholder: ("parameter", "write the value into the query"),
        exp.Values: ("values", "join tables of the OMOP CDM, not lists of values"),
        exp.Tuple: ("row_value", "compare columns one by one"),
        exp.Array: ("array", "write col IN (1, 2, 3)"),
        exp.Any: ("any_all", "write col IN (...)"),
        exp.All: ("any_all", "write col IN (...) or NOT EXISTS (...)"),
        exp.TableColumn: ("whole_row", "name columns as alias.column"),
        exp.Dot: ("whole_row", "name columns as alias.column"),
        exp.ObjectIdentifier: ("cast", "cast to a number, text, boolean or date"),
        exp.ByteString: ("string", "write text in single quotes"),
        exp.RawString: ("string", "write text in single quotes"),
        exp.Command: ("not_select", "write exactly one SELECT"),
        exp.Rollup: ("grouping_sets", "group by plain columns"),
        exp.Cube: ("grouping_sets", "group by plain columns"),
        exp.GroupingSets: ("grouping_sets", "group by plain columns"),
    }
)


def check(tree: exp.Expr) -> None:
    """Refuses every part of the tree that is not on an allow-list.

    Raises:
        QueryRefused: the first such part.
    """
    joins = 0
    for node in tree.walk():
        _check_node(node)
        joins += isinstance(node, exp.Join)
    if joins > MAX_JOINS:
        raise QueryRefused("too_many_joins", f"the query has {joins} joins", f"use at most {MAX_JOINS}")


def _check_node(node: exp.Expr) -> None:
    kind = type(node)
    if kind in _NODES:
        reason, remedy = _NODES[kind]
        raise QueryRefused(reason, f"{node.key.upper()} is not allowed", remedy, node.parent or node)
    if kind not in _SYNTAX and kind not in FUNCTIONS:
        if isinstance(node, exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            allowed = ", ".join(sorted(_FUNCTION_NAMES))
            raise QueryRefused(
                "function", f"function {name[:64].lower()} is not on the allow-list", f"allowed: {allowed}", node
            )
        raise QueryRefused("construct", f"{node.key.upper()} is not allowed", "write it in plain SQL", node)
    allowed_parts = _PARTS.get(kind)
    if allowed_parts is not None:
        for part, value in node.args.items():
            if value and part not in allowed_parts:
                reason, remedy = _REMEDIES.get(part, ("construct", f"remove {part.strip('_').upper()}"))
                raise QueryRefused(reason, f"{part.strip('_').upper()} is not allowed", remedy, node)
    if details := _DETAILS.get(kind):
        details(node)


def _check_type(node: exp.DataType) -> None:
    if node.this not in _TYPES or node.args.get("kind") or node.args.get("nested"):
        allowed = ", ".join(sorted(item.value.lower() for item in _TYPES))
        raise QueryRefused(
            "cast", f"type {node.sql('postgres')[:64].lower()} is not allowed", f"cast to one of {allowed}", node
        )


def _check_star(node: exp.Star) -> None:
    if not isinstance(node.parent, exp.Count):
        raise QueryRefused("star", "SELECT * is not allowed", "name the columns that are needed", node.parent)


def _check_table(node: exp.Table) -> None:
    if not isinstance(node.this, exp.Identifier):
        raise QueryRefused("table_function", "a function in FROM is not allowed", "query a table of the OMOP CDM", node)


def _check_subquery(node: exp.Subquery) -> None:
    if not isinstance(node.this, exp.Select | exp.SetOperation):
        raise QueryRefused("construct", "brackets around joins are not allowed", "write joins in a row", node)


def _check_select(node: exp.Select) -> None:
    if not node.args.get("from_"):
        raise QueryRefused("values", "a SELECT without FROM makes up rows", "select from a table of the OMOP CDM", node)
    if not node.expressions:
        raise QueryRefused("no_columns", "a SELECT without columns", "name the columns", node)


def _check_join(node: exp.Join) -> None:
    # RIGHT and FULL keep rows of people for whom the tie to the subject does not hold.
    if node.side not in ("", "LEFT") or node.kind not in ("", "INNER", "CROSS", "OUTER"):
        raise QueryRefused(
            "join", f"{node.side or node.kind} JOIN is not allowed", "start from person and use LEFT JOIN", node
        )


_DETAILS: Mapping[type[exp.Expr], Callable[[Any], None]] = MappingProxyType(
    {
        exp.DataType: _check_type,
        exp.Star: _check_star,
        exp.Table: _check_table,
        exp.Subquery: _check_subquery,
        exp.Select: _check_select,
        exp.Join: _check_join,
    }
)


def check_tables(tree: exp.Expr, known: frozenset[str]) -> None:
    """Refuses tables outside the allow-list and CTEs that shadow one.

    Raises:
        QueryRefused: the first such name.
    """
    ctes: set[str] = set()
    for cte in tree.find_all(exp.CTE):
        name = cte.alias
        if name.lower() in known or name.lower() in REFUSED_TABLES or name in ctes:
            raise QueryRefused("cte_name", f"the name {name} is taken", "give the CTE another name", cte.args["alias"])
        ctes.add(name)
    for table in tree.find_all(exp.Table):
        if table.args.get("catalog") or (table.db and table.db != SCHEMA):
            raise QueryRefused(
                "schema",
                f"{table.sql('postgres')[:80]} is not in schema {SCHEMA}",
                f"name tables as {SCHEMA}.table",
                table,
            )
        if not table.db and table.name in ctes:
            continue
        if table.name in REFUSED_TABLES:
            why = REFUSED_TABLES[table.name]
            raise QueryRefused("table", f"table {table.name} may not be read: {why}", "leave it out", table)
        if table.name not in known:
            raise QueryRefused(
                "table",
                f"there is no table {table.name[:80]} to query",
                f"use one of {', '.join(sorted(known))}",
                table,
            )


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold for `node` to hold."""
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.And):
        yield from conjuncts(node.this)
        yield from conjuncts(node.expression)
    elif node is not None:
        yield node

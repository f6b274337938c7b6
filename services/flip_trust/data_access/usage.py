"""What the columns of one SELECT are used for: identifiers, birth dates, aggregates, windows, casts."""

from collections.abc import Callable, Iterator

from sqlglot import exp

from flip_trust.data_access.catalogue import Column, Kind
from flip_trust.data_access.refusal import QueryRefused

Resolve = Callable[[exp.Column], tuple[str, Column]]
LINK = "person_id"
"""The identifier that ties rows to one person. An accession does not: systems write one placeholder for many people."""


def check_usage(select: exp.Select, resolve: Resolve, personal: bool, anchored: bool) -> None:
    """Checks this SELECT, not the ones nested in it.

    Args:
        select: a qualified SELECT.
        resolve: finds what a column is.
        personal: its rows are about people.
        anchored: it is a subquery whose rows all belong to the outer query's person.

    Raises:
        QueryRefused: a use that is not allowed.
    """
    aliases = {item.alias_or_name for item in select.expressions}
    aggregate: exp.Expr | None = None
    for node in own_nodes(select):
        if isinstance(node, exp.Column):
            if not node.table and isinstance(node.parent, exp.Ordered) and node.name in aliases:
                continue
            _check_column(node, resolve)
        elif isinstance(node, exp.Window):
            # A window gives its value to every row of it: where the identifier is missing, those are many people.
            if personal and not _links(node.args.get("partition_by") or [], resolve, nullable=False):
                raise QueryRefused(
                    "window",
                    "a window runs over several people",
                    "add PARTITION BY person_id, of a table that is not on the right of a LEFT JOIN",
                    node,
                )
        elif isinstance(node, exp.Cast):
            _check_cast(node, resolve)
        elif isinstance(node, exp.AggFunc) and not _in_window(node):
            aggregate = node
    group = select.args.get("group")
    if not personal or anchored or not (group or aggregate or select.args.get("having")):
        return
    if not _links(group.expressions if group else [], resolve):
        raise QueryRefused(
            "aggregate", "an aggregate runs over several people", "add GROUP BY person_id", group or aggregate
        )


def own_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """Nodes of a SELECT without those of queries nested in it."""
    stack = list(select.iter_expressions())
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Select | exp.SetOperation | exp.With):
            continue
        yield node
        stack.extend(node.iter_expressions())


def is_text(node: exp.Expr, resolve: Resolve) -> bool:
    """Whether the value may be text, so that a cast of it could fail on one row's data."""
    if isinstance(node, exp.Cast):
        return node.is_type(*exp.DataType.TEXT_TYPES)
    if isinstance(node, exp.Extract | exp.Length | exp.Count | exp.Query | exp.TimestampTrunc | exp.Interval):
        return False
    if isinstance(node, exp.Column):
        return resolve(node)[1].text
    if isinstance(node, exp.Literal):
        return node.is_string
    return any(is_text(child, resolve) for child in node.iter_expressions())


def _check_column(column: exp.Column, resolve: Resolve) -> None:
    found = resolve(column)[1]
    parent = column.parent
    if found.kind is Kind.PLAIN:
        return
    if found.kind is Kind.BIRTH:
        if not _year_of(column):
            raise QueryRefused(
                "birth_date",
                f"{column.name} is finer than the year of birth",
                "use year_of_birth, or EXTRACT(YEAR FROM birth_datetime)",
                parent,
            )
        return
    if _projected(column) or _null_test(column):
        return
    if found.kind is Kind.FREE_TEXT:
        raise QueryRefused(
            "free_text",
            f"{column.name} is free text and may only be selected",
            "filter by the concept column, such as value_as_concept_id",
            parent,
        )
    if _structural(column) or _compared_with_same(column, found, resolve):
        return
    raise QueryRefused(
        "person_literal",
        f"{column.name} identifies single people or records; here it is used as a value",
        f"only select it, group by it, count it, or compare it with {found.domain} of another table",
        parent,
    )


def _year_of(column: exp.Column) -> bool:
    parent = column.parent
    if column.name != "birth_datetime":
        return False
    if isinstance(parent, exp.Extract):
        return parent.name.upper() == "YEAR"
    return isinstance(parent, exp.TimestampTrunc) and parent.text("unit").upper() == "YEAR"


def _projected(column: exp.Column) -> bool:
    node = column.parent
    if isinstance(node, exp.Coalesce):  # what JOIN ... USING makes of its column
        if not all(isinstance(part, exp.Column) for part in (node.this, *node.expressions)):
            return False
        node = node.parent
    return isinstance(node, exp.Select) or (isinstance(node, exp.Alias) and isinstance(node.parent, exp.Select))


def _null_test(column: exp.Column) -> bool:
    return isinstance(column.parent, exp.Is) and isinstance(column.parent.expression, exp.Null)


def _structural(column: exp.Column) -> bool:
    parent = column.parent
    if isinstance(parent, exp.Distinct):
        parent = parent.parent
    if isinstance(parent, exp.Window):
        return column.arg_key == "partition_by"
    if isinstance(parent, exp.Ordered):
        return True
    if isinstance(parent, exp.In):
        # What an IN list may hold is checked with the subquery; a list of values is never right.
        return column.arg_key == "this" and parent.args.get("query") is not None
    return isinstance(parent, exp.Group | exp.Count)


def _compared_with_same(column: exp.Column, found: Column, resolve: Resolve) -> bool:
    parent = column.parent
    if not isinstance(parent, exp.EQ):
        return False
    other = parent.expression if parent.this is column else parent.this
    return isinstance(other, exp.Column) and resolve(other)[1].domain == found.domain


def _links(items: list[exp.Expr], resolve: Resolve, *, nullable: bool = True) -> bool:
    """Whether one of the items is the identifier of a person; `nullable`: one that may be missing will do."""
    columns = (resolve(item)[1] for item in items if isinstance(item, exp.Column))
    return any(column.domain == LINK and (nullable or not column.nullable) for column in columns)


def _in_window(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, exp.Filter | exp.WithinGroup):
        parent = parent.parent
    return isinstance(parent, exp.Window)


def _check_cast(cast: exp.Cast, resolve: Resolve) -> None:
    if isinstance(cast.this, exp.Literal) or cast.is_type(*exp.DataType.TEXT_TYPES):
        return
    if is_text(cast.this, resolve):
        raise QueryRefused(
            "cast",
            "a cast of text can fail on the data of one person",
            "use the numeric or concept column, such as value_as_number",
            cast,
        )

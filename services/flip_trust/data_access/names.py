"""Says of every name in a query which table or subquery it belongs to, without letting the query grow.

sqlglot would also write an alias out wherever the same SELECT names it, again and again: a line of aliases that each
name the one before twice doubles with every one. PostgreSQL knows an alias in GROUP BY alone, and so does this.
"""

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.qualify_columns import validate_qualify_columns
from sqlglot.optimizer.resolver import Resolver
from sqlglot.optimizer.scope import traverse_scope, walk_in_scope
from sqlglot.schema import MappingSchema

from flip_trust.data_access.catalogue import SCHEMA
from flip_trust.data_access.refusal import QueryRefused

MAX_NODES = 2_000
_MAX_QUALIFIED_NODES = 3 * MAX_NODES  # a plain column has two parts, a qualified one with its alias five


def check_size(tree: exp.Expr, limit: int = MAX_NODES) -> None:
    """Refuses a query of more parts than `limit`.

    Raises:
        QueryRefused: `too_big`.
    """
    nodes = sum(1 for _ in tree.walk())
    if nodes > limit:
        raise QueryRefused("too_big", f"the query has {nodes} parts", f"stay under {limit}")


def qualified(tree: exp.Query, schema: dict[str, object]) -> exp.Query:
    """The query with every table and column qualified and quoted; aliases and positions in GROUP BY written out.

    Args:
        tree: a query that the grammar let through; it is changed.
        schema: schema, table, column, SQL type.

    Raises:
        QueryRefused: `unknown_name`, or `too_big` once names are written out.
    """
    known = MappingSchema(schema, dialect="postgres")
    try:
        _write_out_positions(tree)
        tree = qualify(
            tree, dialect="postgres", schema=known, db=SCHEMA, expand_alias_refs=False, validate_qualify_columns=False
        )
        for scope in traverse_scope(tree):
            if isinstance(scope.expression, exp.Select):
                _resolve_groups(scope.expression, Resolver(scope, known))
                check_size(tree, _MAX_QUALIFIED_NODES)
        # Scopes remember their columns: those just resolved are seen by new ones alone.
        validate_qualify_columns(tree)
    except (OptimizeError, SqlglotError) as error:
        first = str(error).splitlines()[0][:200]
        raise QueryRefused(
            "unknown_name",
            f"a name cannot be resolved: {first}",
            "name columns that the OMOP CDM 5.4 tables have, as alias.column, and no alias of the same SELECT",
        ) from None
    return tree


def _write_out_positions(tree: exp.Expr) -> None:
    # From the inside out, and measured after each SELECT: nested ones would double at every level.
    for group in list(tree.find_all(exp.Group))[::-1]:
        select = group.parent
        assert isinstance(select, exp.Select)  # noqa: S101 - the grammar lets nothing else through
        for item in _once(group):
            place = int(item.this) if isinstance(item, exp.Literal) and item.is_int else 0
            if 0 < place <= len(select.expressions):
                column = select.expressions[place - 1].unalias()
                # A constant would be taken for a position in turn; it groups nothing.
                if not isinstance(column, exp.CONSTANTS) and not column.is_number:
                    item.replace(column.copy())
        check_size(tree, _MAX_QUALIFIED_NODES)


def _resolve_groups(select: exp.Select, resolver: Resolver) -> None:
    """Aliases in GROUP BY, and columns in HAVING that are named like one: HAVING knows columns only."""
    if having := select.args.get("having"):
        for column in walk_in_scope(having):
            if isinstance(column, exp.Column) and not column.table and (table := resolver.get_table(column)):
                column.set("table", exp.to_identifier(table.name, quoted=True))
    if group := select.args.get("group"):
        aliases = {projection.alias: projection.unalias() for projection in select.expressions}
        for item in _once(group):
            if isinstance(item, exp.Column) and not item.table and item.name in aliases:
                item.replace(aliases[item.name].copy())


def _once(group: exp.Group) -> list[exp.Expr]:
    """The items, each once: what stands twice in GROUP BY groups nothing more."""
    group.set("expressions", list(dict.fromkeys(group.expressions)))
    items: list[exp.Expr] = group.expressions
    return list(items)

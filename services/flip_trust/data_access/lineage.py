"""Where every column comes from, and that every row belongs to the counted subject.

Three rules, each closing a way around the threshold:

1.  Identifiers (person_id, accession_id, event keys, source values, UIDs) may be selected, grouped by, counted, and
    compared with the same identifier of another table. Nothing else: a literal, in whatever disguise, would turn a
    count into a question on one person. Of a birth date only the year may be used.
2.  All rows about people in one SELECT are tied together by `person_id = person_id`. Without the tie a condition on
    one person would decide whether everybody else is counted.
3.  Aggregates and windows stay within a person (GROUP BY / PARTITION BY person_id), for the same reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from flip_trust.data_access.catalogue import PERSONAL_TABLES, SCHEMA, Catalogue, Column
from flip_trust.data_access.grammar import conjuncts
from flip_trust.data_access.refusal import QueryRefused
from flip_trust.data_access.usage import LINK, check_usage, is_text, own_nodes

_OUTER = "\0outer"
_TIE = "join on a.person_id = b.person_id"


@dataclass(frozen=True)
class Relation:
    """A table, CTE or subquery: its columns, and whether its rows are about people."""

    columns: dict[str, Column]
    personal: bool


@dataclass
class Frame:
    """The sources of one SELECT, and which of them are tied to the same person."""

    sources: dict[str, Relation]
    outer: "Frame | None"
    group_of: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.group_of = {name: name for name in (*self.sources, _OUTER)}

    def tie(self, left: str, right: str) -> None:
        """Records that rows of both belong to one person."""
        kept, gone = self.group_of[left], self.group_of[right]
        self.group_of = {name: kept if group == gone else group for name, group in self.group_of.items()}

    def resolve(self, column: exp.Column) -> tuple[str, Column]:
        """Alias of the source in this frame (or the outer mark) and the column.

        Raises:
            QueryRefused: the column does not exist.
        """
        source = self.sources.get(column.table)
        if source is not None and column.name in source.columns:
            return column.table, source.columns[column.name]
        if source is None and column.table and self.outer is not None:
            return _OUTER, self.outer.resolve(column)[1]
        if not column.table:
            raise QueryRefused("whole_row", f"{column.name[:80]} is no column", "name columns as alias.column", column)
        raise QueryRefused(
            "unknown_name", f"there is no column {column.sql()[:80]}", "name a column of the OMOP CDM", column
        )

    @property
    def anchored(self) -> bool:
        """Whether every personal source is tied to the outer query's subject."""
        return all(self.group_of[name] == self.group_of[_OUTER] for name, rel in self.sources.items() if rel.personal)


class Analysis:
    """Checks one qualified query, SELECT by SELECT, from the inside out."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def top(self, tree: exp.Query) -> dict[str, Column]:
        """The output columns of a whole query.

        Raises:
            QueryRefused: it breaks one of the rules.
        """
        return self._relation(tree, {}, None).columns

    def _relation(self, query: exp.Expr, ctes: dict[str, Relation], outer: Frame | None) -> Relation:
        if isinstance(query, exp.Subquery):
            return self._relation(query.this, ctes, outer)
        if with_ := query.args.get("with_"):
            ctes = dict(ctes)
            for cte in with_.expressions:
                ctes[cte.alias] = self._relation(cte.this, ctes, None)
        if isinstance(query, exp.SetOperation):
            return self._set_operation(query, ctes, outer)
        assert isinstance(query, exp.Select)  # noqa: S101 - the grammar lets nothing else through
        return self._select(query, ctes, outer)

    def _set_operation(self, query: exp.SetOperation, ctes: dict[str, Relation], outer: Frame | None) -> Relation:
        left = self._relation(query.this, ctes, outer)
        right = self._relation(query.expression, ctes, outer)
        if len(left.columns) != len(right.columns):
            raise QueryRefused("set_operation", "the sides differ in columns", "select as many on both sides", query)
        columns = {}
        for (name, one), two in zip(left.columns.items(), right.columns.values(), strict=True):
            if (one.kind, one.domain) != (two.kind, two.domain):
                sides = f"{one.domain or 'a value'} on one side and {two.domain or 'a value'} on the other"
                raise QueryRefused(
                    "set_operation",
                    f"column {name} is {sides}",
                    "select the same kind of column on both sides",
                    query,
                )
            columns[name] = Column(one.kind, one.domain, one.text or two.text, one.nullable or two.nullable)
        return Relation(columns, left.personal or right.personal)

    def _select(self, select: exp.Select, ctes: dict[str, Relation], outer: Frame | None) -> Relation:
        joins: list[exp.Join] = select.args.get("joins") or []
        sources: dict[str, Relation] = {}
        for part in (select.args["from_"], *joins):
            name = part.this.alias_or_name
            if name in sources:
                raise QueryRefused(
                    "duplicate_alias", f"alias {name} stands twice", "give each its own alias", part.this
                )
            found = self._source(part.this, ctes)
            # The rest of the grammar knows no other outer join than LEFT.
            sources[name] = _nullable(found) if part.args.get("side") else found
        frame = Frame(sources, outer)
        self._tie(select, joins, frame)
        for query in _subqueries(select):
            self._predicate(query, ctes, frame)
        personal = [name for name, relation in sources.items() if relation.personal]
        if len({frame.group_of[name] for name in personal}) > 1:
            untied = ", ".join(sorted(personal))
            raise QueryRefused("not_tied", f"{untied} are not all tied to the same person", _TIE, select)
        if outer is not None and personal and not frame.anchored and not _ties_by_list(select, frame):
            raise QueryRefused(
                "not_tied", "a subquery about people is not tied to the outer person", f"{_TIE} in its WHERE", select
            )
        check_usage(select, frame.resolve, bool(personal), outer is not None and frame.anchored)
        return Relation(self._projections(select, frame), bool(personal))

    def _source(self, item: exp.Expr, ctes: dict[str, Relation]) -> Relation:
        if isinstance(item, exp.Subquery):
            return self._relation(item, ctes, None)
        assert isinstance(item, exp.Table)  # noqa: S101 - the grammar lets nothing else through
        if not item.db and item.name in ctes:
            return ctes[item.name]
        if item.db != SCHEMA or item.name not in self._catalogue.tables:
            raise QueryRefused("table", f"there is no table {item.name[:80]}", "use a table of the OMOP CDM", item)
        return Relation(self._catalogue.columns(item.name), item.name in PERSONAL_TABLES)

    def _tie(self, select: exp.Select, joins: list[exp.Join], frame: Frame) -> None:
        for join in joins:
            pairs = list(self._equalities(join.args.get("on"), frame))
            if not join.side:
                for left, right in pairs:
                    frame.tie(left, right)
                continue
            # An outer join restricts only the side it adds: it ties that side to one other, never others together.
            added = join.this.alias_or_name
            for left, right in pairs:
                if added in (left, right) and left != right:
                    frame.tie(left, right)
                    break
        where = select.args.get("where")
        for left, right in self._equalities(where.this if where else None, frame):
            frame.tie(left, right)

    def _equalities(self, condition: exp.Expr | None, frame: Frame) -> Iterator[tuple[str, str]]:
        for item in conjuncts(condition):
            if not isinstance(item, exp.EQ):
                continue
            left, right = item.this, item.expression
            if not (isinstance(left, exp.Column) and isinstance(right, exp.Column)):
                continue
            (left_name, one), (right_name, two) = frame.resolve(left), frame.resolve(right)
            if one.domain == two.domain == LINK:
                yield left_name, right_name

    def _predicate(self, query: exp.Query, ctes: dict[str, Relation], frame: Frame) -> None:
        relation = self._relation(query, ctes, frame)
        parent = query.parent.parent if isinstance(query.parent, exp.Subquery) else query.parent
        if isinstance(parent, exp.Exists):
            return
        if len(relation.columns) != 1:
            raise QueryRefused("subquery", "a subquery in an expression has one column", "select one column", query)
        if isinstance(parent, exp.In):
            output = next(iter(relation.columns.values()))
            left = parent.this
            identifies = isinstance(left, exp.Column) and frame.resolve(left)[1].domain
            if relation.personal or identifies or output.domain:
                self._check_in(parent, output, frame)
            return
        select = query.unnest()
        projection = select.expressions[0].unalias() if isinstance(select, exp.Select) else None
        if not isinstance(projection, exp.AggFunc) or select.args.get("group"):
            raise QueryRefused(
                "scalar_subquery",
                "a subquery used as a value must yield exactly one row",
                "select one aggregate such as MAX(...) and no GROUP BY",
                query,
            )

    def _check_in(self, test: exp.In, output: Column, frame: Frame) -> None:
        left = test.this
        same = isinstance(left, exp.Column) and frame.resolve(left)[1].domain == output.domain
        if not same or output.domain != LINK:
            raise QueryRefused(
                "not_tied",
                "IN over a subquery about people must compare person_id with person_id",
                "write person_id IN (SELECT person_id ...), or EXISTS (... AND a.person_id = b.person_id)",
                test,
            )
        node: exp.Expr | None = test.parent
        while isinstance(node, exp.And | exp.Or | exp.Paren):
            node = node.parent
        if not isinstance(node, exp.Where | exp.Join | exp.Having):
            raise QueryRefused(
                "in_position",
                "IN over a subquery may not be negated or used as a value: one NULL in it would decide for everybody",
                "write NOT EXISTS (... WHERE a.person_id = b.person_id)",
                test,
            )

    def _projections(self, select: exp.Select, frame: Frame) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        for item in select.expressions:
            name = item.alias_or_name
            if name in columns:
                raise QueryRefused("column_name", f"output column {name[:80]} stands twice", "rename one with AS", item)
            columns[name] = _derived(item.unalias(), frame)
        return columns


def _nullable(relation: Relation) -> Relation:
    """What an outer join makes of the side it adds."""
    columns = {name: replace(column, nullable=True) for name, column in relation.columns.items()}
    return Relation(columns, relation.personal)


def _derived(node: exp.Expr, frame: Frame) -> Column:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Column):
        return frame.resolve(node)[1]
    if isinstance(node, exp.Coalesce):
        parts = [_derived(part, frame) for part in (node.this, *node.expressions)]
        if len({replace(part, nullable=False) for part in parts}) == 1:
            return replace(parts[0], nullable=all(part.nullable for part in parts))
    return Column(text=is_text(node, frame.resolve))


def _subqueries(select: exp.Select) -> Iterator[exp.Query]:
    """Queries used inside expressions of this SELECT, one level down."""
    sources = {id(select.args["from_"].this), *(id(join.this) for join in select.args.get("joins") or [])}
    for node in own_nodes(select):
        if id(node) in sources:
            continue
        for child in node.iter_expressions():
            if isinstance(child, exp.Select | exp.SetOperation):
                yield child


def _ties_by_list(select: exp.Select, frame: Frame) -> bool:
    """Whether this is the list of an IN, and lists people of its own: the outer person's id would always be in it."""
    node: exp.Expr = select
    while isinstance(node.parent, exp.Subquery | exp.SetOperation):
        node = node.parent
    if not isinstance(node.parent, exp.In) or node.arg_key != "query":
        return False
    return all(
        frame.resolve(column)[0] != _OUTER for item in select.expressions for column in item.find_all(exp.Column)
    )

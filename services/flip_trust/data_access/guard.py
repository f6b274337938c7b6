"""The SQL guard: one SELECT over the allowed OMOP tables, re-emitted from its parse tree.

The text of the researcher never reaches the database. It is parsed as PostgreSQL, every part of the tree must be on
an allow-list (`grammar`), names are resolved against the catalogue, the use of identifiers and the tie of
every row to the counted subject is checked (`lineage`), arithmetic is made unable to fail (`totals`), and what remains
is written anew.
"""

import logging
import re
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from flip_trust.data_access import grammar
from flip_trust.data_access.catalogue import Catalogue, Column, Kind
from flip_trust.data_access.lineage import Analysis
from flip_trust.data_access.names import check_size, qualified
from flip_trust.data_access.refusal import QueryRefused
from flip_trust.data_access.totals import make_total

MAX_CHARS = 10_000
MAX_OUTPUT_COLUMNS = 100
SUBJECT_COLUMNS = ("person_id", "accession_id")

_COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# sqlglot warns on stderr about text it cannot parse; the guard refuses such text with a reason of its own.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class GuardedQuery:
    """A query that may run.

    Attributes:
        sql: re-emitted PostgreSQL, every table and column qualified, without a trailing semicolon.
        columns: names of the output columns, in order.
        described: columns whose distribution may be shown; identifiers and free text are left out.
        has_person: whether `person_id` is selected.
        has_accession: whether `accession_id` is selected.
    """

    sql: str
    columns: tuple[str, ...]
    described: tuple[str, ...]
    has_person: bool
    has_accession: bool


class Guard:
    """Checks queries against one database's catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._schema = catalogue.schema()

    def __call__(self, sql: str) -> GuardedQuery:
        """Checks a query and writes it anew.

        Raises:
            QueryRefused: with the reason, the place and the remedy.
        """
        try:
            return self._guard(sql)
        except RecursionError:
            raise QueryRefused("too_deep", "the query is nested too deeply", "use fewer nested brackets") from None

    def _guard(self, sql: str) -> GuardedQuery:
        tree = _parse(sql)
        grammar.check(tree)
        grammar.check_tables(tree, frozenset(self._catalogue.tables))
        tree = qualified(tree, self._schema)
        grammar.check(tree)
        output = Analysis(self._catalogue).top(tree)
        _check_output(output)
        make_total(tree)
        described = tuple(name for name, column in output.items() if column.kind is Kind.PLAIN)
        return GuardedQuery(
            sql=tree.sql("postgres", comments=False),
            columns=tuple(output),
            described=described,
            has_person="person_id" in output,
            has_accession="accession_id" in output,
        )


def _parse(sql: str) -> exp.Query:
    if len(sql) > MAX_CHARS:
        raise QueryRefused("too_long", f"the query has {len(sql)} characters", f"stay under {MAX_CHARS}")
    if any(ord(char) < 32 and char not in "\n\r\t" for char in sql):
        raise QueryRefused("control_character", "the query holds a control character", "write plain text")
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="postgres") if tree is not None]
    except (ParseError, TokenError) as error:
        first = str(error).splitlines()[0][:200]
        raise QueryRefused("syntax", f"this is not PostgreSQL: {first}", "correct the syntax") from None
    if len(trees) != 1:
        raise QueryRefused("one_statement", f"found {len(trees)} statements", "write exactly one SELECT")
    tree = trees[0]
    while isinstance(tree, exp.Subquery) and not any(value for key, value in tree.args.items() if key != "this"):
        tree = tree.this
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise QueryRefused("not_select", f"{tree.key.upper()} is not a SELECT", "write exactly one SELECT", tree)
    check_size(tree)
    return tree


def _check_output(output: dict[str, Column]) -> None:
    if len(output) > MAX_OUTPUT_COLUMNS:
        raise QueryRefused(
            "too_many_columns", f"{len(output)} columns are selected", f"select at most {MAX_OUTPUT_COLUMNS}"
        )
    for name in output:
        if not _COLUMN_NAME.fullmatch(name):
            raise QueryRefused(
                "column_name",
                f"output column {name[:80]!r} has an unusual name",
                "give it a plain lower-case name with AS",
                name[:80],
            )
    for name in SUBJECT_COLUMNS:
        if name in output and output[name].domain != name:
            raise QueryRefused(
                "subject_not_plain",
                f"output column {name} is not the {name} of an OMOP table",
                f"select {name} itself, without a calculation and under its own name",
                name,
            )
    if not any(name in output for name in SUBJECT_COLUMNS):
        raise QueryRefused(
            "no_subject",
            "neither person_id nor accession_id is selected",
            "select person_id or accession_id, so that distinct subjects can be counted",
        )

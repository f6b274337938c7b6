"""How verbs speak: tables for people on stdout, one JSON document with --json, errors on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

console = Console(highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as a table; the keys of the first row are the columns."""
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")  # a name that is cut short cannot be copied
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)


def fail(message: str, status: int = 1) -> NoReturn:
    """Prints what is wrong and ends with this exit status."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(status)

"""How the entry points of this package become commands."""

from collections.abc import Callable

import typer


def run_command(main: Callable[..., None]) -> None:
    """Runs `main` as a command. Tracebacks are Python's plain ones: typer's would print local variables, keys too."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()

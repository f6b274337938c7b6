"""`flipctl app check`: what submit would refuse, with the line to change."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flip_common.appcheck import Severity, check_dir, check_zip

app = typer.Typer(help="Work with a researcher's app.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `check` a verb of its own: typer would make a lone command the whole program."""


@app.command(epilog="Example: flipctl app check tutorials/brain_segmentation")
def check(
    path: Annotated[Path, typer.Argument(help="The app's folder, or the zip made of it.", exists=True)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Finds what submit would refuse. Exit status 1 if there is an error, 0 if there are at most warnings."""
    report = check_dir(path) if path.is_dir() else check_zip(path)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        for finding in report.findings:
            typer.echo(str(finding))
        errors = sum(finding.severity is Severity.ERROR for finding in report.findings)
        typer.echo(f"{path}: {errors} errors, {len(report.findings) - errors} warnings")
    raise typer.Exit(0 if report.ok else 1)

"""`flipctl data`: the demo's data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flipctl.data.generate import DEFAULT_SEED, DEFAULT_TRUSTS, generate
from flipctl.data.manifest import MANIFEST_NAME, StudyKind

app = typer.Typer(help="Demo data: DICOM for every trust's PACS and the OMOP records they belong to.")


@app.callback()
def data() -> None:
    """Demo data: DICOM for every trust's PACS and the OMOP records they belong to."""


@app.command("generate")
def generate_command(
    out: Annotated[Path, typer.Argument(help="New or empty folder to fill.")],
    trust: Annotated[list[str] | None, typer.Option(help="Name of a trust; once for each.")] = None,
    patients: Annotated[int, typer.Option(help="Labelled brain MR studies per trust.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal data.")] = DEFAULT_SEED,
    as_json: Annotated[bool, typer.Option("--json", help="Say the result as JSON.")] = False,
) -> None:
    """Generates brain MR studies with labels, a few genuine series and the manifest.

    Example: flipctl data generate ./demo-data --trust Trust_1 --trust Trust_2 --patients 20
    """
    try:
        manifest = generate(out, trust or DEFAULT_TRUSTS, patients, seed)
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    path = out / MANIFEST_NAME
    if as_json:
        kinds = {
            name: {kind: len(share.accessions(kind)) for kind in StudyKind} for name, share in manifest.trusts.items()
        }
        typer.echo(json.dumps({"manifest": str(path), "seconds": manifest.seconds, "studies": kinds}))
        return
    for name, share in manifest.trusts.items():
        labelled = len(share.accessions(StudyKind.BRAIN))
        others = len(share.studies) - labelled
        typer.echo(f"{name}: {labelled} labelled brain studies, {others} others, scanner: {share.scanner}")
    typer.echo(f"{path} written in {manifest.seconds:.1f} s")

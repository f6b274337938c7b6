"""`flipctl airlock`: the verbs of flip_airlock, and packing."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from flip_airlock import AirlockError, inspection
from flip_airlock.cli import app, errors
from flip_airlock.pack.segments import LEAST
from flipctl.images_run import errors as image_errors
from flipctl.output import JsonFlag, print_json

__all__ = ["app"]

STORE = Path(".flip/airlock")
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)", text)
    if not found:
        raise typer.BadParameter(f"{text!r}: a size is a number with K, M or G, such as 1.9G (1 G is 10^9 bytes)")
    size = int(float(found[1]) * UNITS[found[2]])
    if size < LEAST:
        raise typer.BadParameter(f"{text}: {LEAST // 10**6}M is the least")
    return size


@app.command("pack", epilog="Example: flipctl airlock pack --segment-size 1.9G --sign ~/.ssh/release --out flip-1.2.0")
def pack_release(
    sign: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="SSH key to sign with, or the public half of one in an agent."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the bundle; empty or not there yet.")],
    release: Annotated[str | None, typer.Option(help="The release, which is the images' tag; this checkout's.")] = None,
    segment_size: Annotated[
        int, typer.Option(parser=_size, metavar="SIZE", help="Bytes of the largest file the airlock lets through.")
    ] = "1.9G",  # type: ignore[assignment]  # parsed
    image: Annotated[
        list[str] | None, typer.Option(help="Image to pack by its name in the list, or none; repeatable. All without.")
    ] = None,
    files: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of files to bring along as they are.")
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="Release of Debian or Ubuntu to bring packages and Ansible for, or none; repeatable. All without."
        ),
    ] = None,
    package: Annotated[
        list[str] | None, typer.Option(help="Debian package to bring besides those of the roles; repeatable.")
    ] = None,
    apt_source: Annotated[
        list[str] | None, typer.Option(help="Further apt source of such packages, a whole line; repeatable.")
    ] = None,
    for_site: Annotated[
        Path | None,
        typer.Option("--for", exists=True, dir_okay=False, help="A site's inventory; only what it lacks is packed."),
    ] = None,
    sites: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Allowed signers file of the sites, for --for.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Segments to write again into a bundle's folder, parted by commas.")
    ] = None,
    counter: Annotated[
        int | None, typer.Option(min=1, help="Number that grows with every release; the commit's time without.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where all that was ever packed is kept, for deltas.")] = STORE,
    as_json: JsonFlag = False,
) -> None:
    """Pack a release for sites without internet: segments, a signed list of them, and what a person needs to check it.

    The same images and files make the same bytes. With --for, an inventory that a site wrote, the bundle brings what
    that site lacks and is refused by others.
    """
    with errors(), image_errors():
        packing = _packing()
        wanted = packing.Wanted(
            release=release,
            images=image,
            files=files,
            suites=suite,
            packages=package or [],
            sources=apt_source or [],
            limit=segment_size,
            counter=counter,
            have=packing.inventory(for_site, sites),
        )
        if only:
            packing.again(wanted, store, out, only.split(","))
            typer.echo(f"made again: {only}")
            return
        made = packing.packed(wanted, store, out, sign)
    document = inspection.describe(made)
    if as_json:
        print_json(document)
    else:
        typer.echo(inspection.text(document))
        typer.echo(f"\n{out} may travel; check it with: flipctl airlock verify --signers ALLOWED_SIGNERS {out}")


def _packing() -> ModuleType:
    """What packs. It alone needs libraries that the images, in which flipctl is, too, do not have.

    Raises:
        AirlockError: they are not here.
    """
    try:
        return importlib.import_module("flipctl.airlock_pack")
    except ModuleNotFoundError as error:
        raise AirlockError(
            f"packing needs a checkout with its packages ({error.name} is missing): make setup"
        ) from None

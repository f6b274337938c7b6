"""`flipctl images xnat`: XNAT's image, of files that the operator supplies."""

import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from flipctl import images_docker as docker
from flipctl.images_list import ImagesError, checkout, load, tag, version
from flipctl.images_run import errors, progress, revision
from flipctl.output import JsonFlag, print_json, print_table

NAME = "xnat-web"
FOLDER = Path("images") / NAME / "supplied"
PLUGIN = "dicom-query-retrieve"


def xnat(
    war: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="XNAT's web archive, xnat-web-VERSION.war.")],
    plugins: Annotated[
        Path,
        typer.Option(
            exists=True, file_okay=False, help="Folder of plugins (.jar), the DICOM query-retrieve one among them."
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(help="Image of Tomcat 9 with the JDK that this XNAT wants; best NAME@sha256:DIGEST."),
    ] = None,
    source: Annotated[str, typer.Option(help="Where these sources are published, for the label.")] = "unknown",
    as_json: JsonFlag = False,
) -> None:
    """Build the image of XNAT. Neither XNAT nor its plugins are part of FLIP: get them from xnat.org.

    XNAT 1.10 wants Java 21, 1.9 and before Java 8; the list's base is for 1.10.
    """
    started = time.monotonic()
    with errors():
        root = checkout()
        jars = check_supplied(war, plugins)
        images, release = load(root), version(root)
        docker.require()
        program, full = docker.builder(), tag(images, NAME, release)
        arguments = {
            "BASE_IMAGE": base or images.supplied[NAME].base,
            "VERSION": release,
            "REVISION": revision(root),
            "SOURCE": source,
        }
        with _supplied(root / FOLDER, war, jars), progress(f"building {NAME}") as say:
            docker.build(program, root, root / "images" / NAME / "Dockerfile", full, arguments, None, say)
        found = docker.find([full])[full]
    row: dict[str, Any] = {"name": NAME, "tag": full, "MB": found.megabytes, "layers": len(found.layers)}
    row["seconds"] = round(time.monotonic() - started, 1)
    if as_json:
        print_json({"release": release, "built": [row]})
    else:
        print_table(f"images {release}", [row])


def check_supplied(war: Path, plugins: Path) -> list[Path]:
    """The plugins, when these can be XNAT's files.

    Raises:
        ImagesError: the WAR is none, or the plugin that imports need is not there.
    """
    try:
        with zipfile.ZipFile(war) as archive:
            whole = "WEB-INF/web.xml" in archive.namelist()
    except zipfile.BadZipFile:
        whole = False
    if not whole:
        raise ImagesError(f"--war {war} is no web archive: download xnat-web-VERSION.war again")
    jars = sorted(plugins.glob("*.jar"))
    if not any(PLUGIN in jar.name for jar in jars):
        raise ImagesError(
            f"--plugins {plugins} holds no {PLUGIN}-VERSION.jar, without which FLIP cannot import studies"
        )
    return jars


@contextmanager
def _supplied(folder: Path, war: Path, jars: list[Path]) -> Iterator[None]:
    """Puts the files where the build sees them, and takes them away afterwards."""
    plugins = folder / "plugins"
    if plugins.exists():  # of a build that was killed
        shutil.rmtree(plugins)
    plugins.mkdir(parents=True)
    try:
        shutil.copyfile(war, folder / "xnat.war")
        for jar in jars:
            shutil.copyfile(jar, plugins / jar.name)
        yield
    finally:
        (folder / "xnat.war").unlink(missing_ok=True)
        shutil.rmtree(plugins)

"""`flipctl images upstream`: images of other makers, taken by their digest and labelled as ours are."""

from typing import Annotated, Any

import typer

from flipctl import images_docker as docker
from flipctl.images_list import ImagesError, checkout, load, tag, version
from flipctl.images_run import errors, progress
from flipctl.output import JsonFlag, print_json, print_table

LABEL = "org.opencontainers.image"
ORIGIN = "org.flip.upstream"


def upstream(
    names: Annotated[list[str] | None, typer.Argument(help="Images to bring; all when none is named.")] = None,
    mirror: Annotated[
        str | None, typer.Option(help="What stands for docker.io in an image's name: a mirror of it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring the images that are taken as they are, by the digests of the list.

    They get the release's tag and labels and nothing else, so that archives, mirrors, upgrade and removal treat them as
    they treat ours. What was changed on the way has another digest, and Docker refuses it.
    """
    with errors():
        root = checkout()
        images, release = load(root), version(root)
        wanted = names or list(images.upstream)
        if unknown := sorted(set(wanted) - set(images.upstream)):
            raise ImagesError(f"{', '.join(unknown)}: not taken from elsewhere; {', '.join(images.upstream)} are")
        docker.require()
        build = [*docker.builder()[1:], "--quiet"]
        rows: list[dict[str, Any]] = []
        for name in wanted:
            taken, own = images.upstream[name], tag(images, name, release)
            reference = taken.reference(mirror)
            labels = {f"{LABEL}.title": f"flip/{name}", f"{LABEL}.version": release, ORIGIN: taken.reference(None)}
            given = [part for label, value in labels.items() for part in ("--label", f"{label}={value}")]
            with progress(f"bringing {reference}"):
                docker.run([*build, *given, "--tag", own, "-"], feed=f"FROM {reference}\n")
            rows.append({"name": name, "tag": own, "version": taken.version, "MB": docker.find([own])[own].megabytes})
    if as_json:
        print_json({"release": release, "brought": rows})
    else:
        print_table(f"images {release}", rows)

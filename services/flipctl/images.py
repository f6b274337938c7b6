"""`flipctl images`: build the images, say what there is."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from flipctl import images_docker as docker
from flipctl.images_base import MIRROR, make_base
from flipctl.images_list import BASE, Image, ImageList, ImagesError, checkout, load, tag, version
from flipctl.images_run import errors, progress, revision
from flipctl.images_upstream import upstream
from flipctl.images_xnat import xnat
from flipctl.output import JsonFlag, console, print_json, print_table

app = typer.Typer(help="Container images of the services.", no_args_is_help=True)

WHEELHOUSE = Path("images/wheelhouse")


@dataclass(frozen=True)
class Options:
    """What all builds of one run share."""

    program: tuple[str, ...]
    root: Path
    images: ImageList
    release: str
    base: str
    revision: str
    source: str
    ca: Path | None
    torch_index: str | None

    def arguments(self, name: str) -> dict[str, str]:
        """Build arguments of an image or a part."""
        part = self.images.entry(name)
        given = {"BASE_IMAGE": self.base if part.on == BASE else tag(self.images, part.on, self.release)}
        for used in part.uses:
            given[f"{used.upper()}_IMAGE"] = tag(self.images, used, self.release)
        if part.extras:
            given["EXTRAS"] = " ".join(part.extras)
        if isinstance(part, Image):
            given |= {"VERSION": self.release, "REVISION": self.revision, "SOURCE": self.source}
        if name == "apps" and self.torch_index is not None:
            given["TORCH_INDEX"] = self.torch_index
        return given


@app.command(epilog="Example: flipctl images build hub omop-db")
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Images to build; all when none is named.")] = None,
    base: Annotated[
        str | None, typer.Option(help="What all stand on instead of the list's base; best NAME@sha256:DIGEST.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Certificates pip is to trust while building; kept nowhere."),
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of wheels to take before an index's.")
    ] = None,
    torch_index: Annotated[
        str | None, typer.Option(help="Index with PyTorch's wheels; one with CUDA makes images for GPUs.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where these sources are published, for the label.")] = "unknown",
    as_json: JsonFlag = False,
) -> None:
    """Build images with Docker from this checkout, each after the parts it stands on.

    What did not change comes from Docker's cache.
    """
    with errors():
        root = checkout()
        images = load(root)
        order = images.build_order(names or [])
        docker.require()
        program = docker.builder()
        options = Options(
            program,
            root,
            images,
            version(root),
            base or images.base,
            revision(root),
            source,
            ca and ca.resolve(),
            torch_index,
        )
        with _wheelhouse(root / WHEELHOUSE, wheels):
            rows = [_build_one(options, name, f"{at}/{len(order)}") for at, name in enumerate(order, 1)]
    if as_json:
        print_json({"release": options.release, "revision": options.revision, "built": rows})
    else:
        print_table(f"images {options.release}", rows)


@app.command("list", epilog="Example: flipctl images list --json")
def list_images(as_json: JsonFlag = False) -> None:
    """Say what images there are, and which of them this machine has."""
    with errors():
        root = checkout()
        images, release = load(root), version(root)
        tags = {name: tag(images, name, release) for name in (*images.images, *images.upstream)}
        here = docker.find(list(tags.values())) if shutil.which("docker") else {}
    if as_json:
        entries = [
            {
                "name": name,
                "tag": tags[name],
                **image.model_dump(by_alias=True),
                "built": _summary(here[tags[name]]) if tags[name] in here else None,
            }
            for name, image in images.images.items()
        ]
        taken = [
            {
                "name": name,
                "tag": tags[name],
                **image.model_dump(by_alias=True),
                "here": _summary(here[tags[name]]) if tags[name] in here else None,
            }
            for name, image in images.upstream.items()
        ]
        print_json({"release": release, "base": images.base, "images": entries, "upstream": taken})
        return
    print_table(
        f"images {release}",
        [
            {
                "name": name,
                "for": image.purpose,
                "user": image.user,
                "ports": " ".join(map(str, image.ports)) or "-",
                "GPU": "yes" if image.gpu else "-",
                "MB": here[tags[name]].megabytes if tags[name] in here else "not built",
            }
            for name, image in images.images.items()
        ],
    )
    console.print()
    print_table(
        "taken as they are",
        [
            {
                "name": name,
                "for": image.purpose,
                "version": image.version,
                "digest": image.digest,
                "ports": " ".join(map(str, image.ports)) or "-",
                "MB": here[tags[name]].megabytes if tags[name] in here else "not here",
            }
            for name, image in images.upstream.items()
        ],
    )


@app.command(epilog="Example: flipctl images inspect fl-client")
def inspect(name: Annotated[str, typer.Argument(help="Name of the image.")], as_json: JsonFlag = False) -> None:
    """Show a built image: id, size, layers and how many of them others share, user, labels."""
    with errors():
        root = checkout()
        images, release = load(root), version(root)
        images.build_order([name])
        docker.require()
        tags = {other: tag(images, other, release) for other in images.images}
        here = docker.find(list(tags.values()))
        if tags[name] not in here:
            raise ImagesError(f"{tags[name]} is not here; build it: flipctl images build {name}")
    found = here.pop(tags[name])
    elsewhere = {layer for other in here.values() for layer in other.layers}
    document = {
        "tag": found.tag,
        "id": found.id,
        "megabytes": found.megabytes,
        "layers": len(found.layers),
        "shared_layers": sum(layer in elsewhere for layer in found.layers),
        "user": found.config["User"],
        "ports": sorted(found.config.get("ExposedPorts") or {}),
        "health": found.config["Healthcheck"]["Test"][1:],
        "command": [*found.config["Entrypoint"], *(found.config["Cmd"] or [])],
        "labels": found.labels,
    }
    if as_json:
        print_json(document)
    else:
        print_table(found.tag, [{"what": key, "value": _plain(value)} for key, value in document.items()])


@app.command("base", epilog="Example: flipctl images base --tag flip/debian:bookworm")
def base_image(
    mirror: Annotated[str, typer.Option(help="Debian mirror; has /debian and /debian-security.")] = MIRROR,
    name: Annotated[str, typer.Option("--tag", help="What to call the image.")] = "flip/debian:bookworm",
    as_json: JsonFlag = False,
) -> None:
    """Make a minimal Debian image from a mirror, for machines that reach no registry. Needs root and mmdebstrap."""
    started = time.monotonic()
    with errors():
        docker.require()
        with progress(f"making {name} from {mirror}"):
            make_base(mirror, name)
        found = docker.find([name])[name]
    row = {"tag": name, "id": found.id, "MB": found.megabytes, "seconds": round(time.monotonic() - started, 1)}
    if as_json:
        print_json(row)
    else:
        print_table("base image", [row])
        console.print(f"\nnow: flipctl images build --base {name}")


app.command("xnat", epilog="Example: flipctl images xnat --war xnat-web-1.10.0.war --plugins plugins/")(xnat)
app.command("upstream", epilog="Example: flipctl images upstream --mirror mirror.example.org/dockerhub")(upstream)


def _build_one(options: Options, name: str, count: str) -> dict[str, Any]:
    started = time.monotonic()
    full = tag(options.images, name, options.release)
    with progress(f"building {name} ({count})") as say:
        dockerfile = options.root / "images" / name / "Dockerfile"
        docker.build(options.program, options.root, dockerfile, full, options.arguments(name), options.ca, say)
    found = docker.find([full])[full]
    seconds = round(time.monotonic() - started, 1)
    return {"name": name, "tag": full, "MB": found.megabytes, "layers": len(found.layers), "seconds": seconds}


@contextmanager
def _wheelhouse(folder: Path, wheels: Path | None) -> Iterator[None]:
    """Puts the wheels where the build sees them, and takes away afterwards what it put there."""
    put = []
    try:
        for wheel in sorted(wheels.glob("*.whl")) if wheels else []:
            target = folder / wheel.name
            if not target.exists():
                put.append(target)
                shutil.copyfile(wheel, target)
        yield
    finally:
        for target in put:
            target.unlink(missing_ok=True)


def _summary(found: docker.Built) -> dict[str, Any]:
    return {"id": found.id, "megabytes": found.megabytes, "layers": len(found.layers)}


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}={item}" for key, item in sorted(value.items()))
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

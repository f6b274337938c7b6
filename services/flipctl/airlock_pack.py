"""Packing of this checkout's release, as `flipctl airlock pack` is asked to."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flip_airlock import AirlockError
from flip_airlock.cli import say
from flip_airlock.manifest import Manifest
from flip_airlock.pack import debian, playbook
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.packer import Order, pack, pack_again
from flip_airlock.pack.program import write_program
from flip_airlock.records import Inventory, read_inventory
from flip_airlock.site import PROGRAM
from flipctl.images_list import ImageList, checkout, load, tag, version
from flipctl.images_run import revision

NONE = "none"


@dataclass(frozen=True)
class Wanted:
    """What the verb was asked for; see its options."""

    release: str | None
    images: list[str] | None
    files: Path | None
    suites: list[str] | None
    packages: list[str]
    sources: list[str]
    limit: int
    counter: int | None
    have: Inventory | None


def packed(wanted: Wanted, store: Path, out: Path, key: Path) -> Manifest:
    """Packs a bundle.

    Raises:
        AirlockError: something cannot be had, or packed.
        ImagesError: this is no checkout.
    """
    with _order(wanted) as order:
        return pack(order, PackStore(store), out, key, say)


def again(wanted: Wanted, store: Path, out: Path, names: list[str]) -> None:
    """Writes segments of a bundle again. Raises the same."""
    with _order(wanted) as order:
        pack_again(order, PackStore(store), out, names, say)


def inventory(file: Path | None, sites: Path | None) -> Inventory | None:
    """A site's inventory, where there is one.

    Raises:
        AirlockError: edited, or it cannot be known whose it is.
    """
    if file is None:
        return None
    if sites is None:
        raise AirlockError("--for needs --sites: the file that says which sites' signatures count")
    return read_inventory(file, sites)


@contextlib.contextmanager
def _order(wanted: Wanted) -> Iterator[Order]:
    """What is to be packed; its files are there within the block."""
    root = checkout()
    release = wanted.release or version(root)
    with tempfile.TemporaryDirectory(prefix="flip-pack-") as folder:
        program = Path(folder) / PROGRAM
        write_program(program)
        yield Order(
            release=release,
            counter=_counter(root) if wanted.counter is None else wanted.counter,
            revision=revision(root),
            images=tuple(_images(load(root), wanted.images, release)),
            files={
                **_files(wanted.files),
                **_host_files(root, wanted.suites, wanted.packages, wanted.sources, Path(folder)),
            },
            extras={PROGRAM: program},
            limit=wanted.limit,
            have=wanted.have,
        )


def _images(images: ImageList, wanted: list[str] | None, release: str) -> list[str]:
    known = (*images.images, *images.upstream, *images.supplied)
    if wanted == [NONE]:
        return []
    if unknown := sorted(set(wanted or ()) - set(known)):
        raise AirlockError(f"{', '.join(unknown)}: no such image; there are {', '.join(known)}")
    return [tag(images, name, release) for name in wanted or (*images.images, *images.upstream)]


def _files(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if odd := sorted(name for name, path in found.items() if path.is_symlink() or not path.is_file()):
        raise AirlockError(f"{folder} holds what is no plain file: {', '.join(odd)[:500]}; leave it out")
    return found


def _host_files(
    root: Path, suites: list[str] | None, more: list[str], sources: list[str], work: Path
) -> dict[str, Path]:
    """What a bare host is provisioned with: packages and Ansible for its suite, and the playbook."""
    if suites == [NONE]:
        return playbook.files(root)
    if unknown := sorted(set(suites or ()) - debian.SUITES.keys()):
        raise AirlockError(f"--suite {', '.join(unknown)}: none of {', '.join(debian.SUITES)}")
    found = playbook.files(root)
    for suite in suites or debian.SUITES:
        for kind in ("apt", "wheels"):
            (work / kind / suite).mkdir(parents=True)
        wanted = [*playbook.packages(root, suite), *more]
        fetched = debian.fetch(suite, wanted, sources, work / "apt" / suite, say)
        found |= {f"apt/{suite}/{path.name}": path for path in fetched.iterdir()}
        made = playbook.wheels(root, suite, work / "wheels" / suite, say)
        found |= {f"wheels/{suite}/{path.name}": path for path in made.iterdir()}
    return found


def _counter(root: Path) -> int:
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AirlockError("this checkout has no commits to take the counter from; give --counter")
    return int(done.stdout)

"""Bundles: bytes, seconds, memory and disk, beside `docker save` and `docker load` of the same images.

    python benchmarks/airlock.py                  # this machine's images of the release; needs root and Docker
    python benchmarks/airlock.py --sizes 0.5 2 8  # memory and disk at GB of files; needs that much disk thrice

Images are packed from the machine's own engine and loaded into fresh ones, which end with the run. All figures of a
table are of one run. The goals: full bundle at most 0.17 of separate archives and no more than one archive of all with
zstd -3; one file changed at most 0.01 of the full bundle; a layer made again at most 0.02 of it; load at most 1.15 of
`docker load`, 3 s where nothing changed; 250 MB of memory; disk at most 1.1 of the bundle.
"""

import argparse
import hashlib
import io
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from airlock import make_key, signer
from private_engine import PrivateEngine

from flip_airlock import engine
from flip_airlock.manifest import Image, read
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.chunks import Chunks

NAMES = ("data-access-api", "fl-client", "fl-server", "hub", "imaging-api", "omop-db", "orthanc", "trust-api")
BIN = Path(sys.executable).parent
REMADE = "imaging-api"


class Rows:
    """The table, printed row by row."""

    def __init__(self) -> None:
        self.print("what", "bytes", "seconds", "MB of memory", "ratio")

    @staticmethod
    def print(what: str, *values: object) -> None:
        """A row."""
        shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
        print("| " + " | ".join([what.ljust(44), *(text.rjust(14) for text in shown)]) + " |", flush=True)


def timed(*command: object) -> tuple[float, int]:
    """Seconds of a command, and the most memory it held, in MB."""
    with tempfile.NamedTemporaryFile("r") as said, tempfile.TemporaryFile() as out:
        began = time.monotonic()
        done = subprocess.run(
            ["/usr/bin/time", "--output", said.name, "--format", "%M", *map(str, command)],
            stdout=out,
            stderr=out,
            check=False,
        )
        seconds = time.monotonic() - began
        out.seek(0)
        assert done.returncode == 0, out.read().decode()[-2000:]
        return round(seconds, 2), int(said.read().split()[-1]) // 1000


def size(folder: Path, pattern: str = "*") -> int:
    """Bytes of the files below a folder, each once however many names it has."""
    found = {path.stat().st_ino: path.stat().st_size for path in folder.rglob(pattern) if path.is_file()}
    return sum(found.values())


def new_site(folder: Path, key: Path) -> Path:
    """A site that trusts the key."""
    (folder / "trust").mkdir(parents=True)
    (folder / "trust" / "allowed_signers").write_text(signer("release@flip", key))
    return folder


@contextmanager
def fresh_engine(folder: Path) -> Iterator[None]:
    """An engine with nothing in it, which `docker` talks to within the block."""
    folder.mkdir()
    private = PrivateEngine(folder, by_containerd=False)
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = private.host
    try:
        private.start()
        yield
    finally:
        private.remove()
        os.environ.pop("DOCKER_HOST")
        if before:
            os.environ["DOCKER_HOST"] = before


def pack(work: Path, out: str, release: str, names: Sequence[str], *options: object) -> tuple[float, int]:
    """Packs images; seconds and memory."""
    chosen = [f"--image={name}" for name in names or ("none",)]
    return timed(
        BIN / "flipctl", "airlock", "pack", f"--release={release}", f"--sign={work / 'key'}", *chosen,
        "--suite=none", "--segment-size=300M", f"--out={work / out}", f"--store={work / 'store'}", *options,
    )  # fmt: skip


def of_images(work: Path, release: str) -> None:
    """The table of the project's images."""
    key, rows, images = make_key(work / "key"), Rows(), [f"flip/{name}:{release}" for name in NAMES]
    subprocess.run(["docker", "image", "inspect", *images], check=True, stdout=subprocess.DEVNULL)
    separate = 0
    for image in images:
        subprocess.run(["docker", "save", "--output", work / "one.tar", image], check=True)
        separate += (work / "one.tar").stat().st_size
    (work / "one.tar").unlink()
    rows.print("separate docker save", separate, "", "", "")
    subprocess.run(["docker", "save", "--output", work / "all.tar", *images], check=True)
    seconds, memory = timed("zstd", "-3", "-q", work / "all.tar", "-o", work / "all.tar.zst")
    packed = (work / "all.tar.zst").stat().st_size
    rows.print("one docker save, zstd -3", packed, seconds, memory, f"{packed / separate:.3f}")
    seconds, memory = pack(work, "full", release, NAMES)
    full = size(work / "full", "*.tar")
    rows.print("full bundle (of separate)", full, seconds, memory, f"{full / separate:.3f}")
    rows.print("full bundle (of one, zstd -3)", full, "", "", f"{full / packed:.3f}")
    site = new_site(work / "site", key)
    with fresh_engine(work / "engine"):
        ours, memory = timed(BIN / "flipctl", "airlock", "load", work / "full", "--site-folder", site)
        rows.print("load into an empty engine", full, ours, memory, "")
        seconds, memory = timed(BIN / "flipctl", "airlock", "load", work / "full", "--site-folder", site)
        rows.print("load again, nothing changed", 0, seconds, memory, "")
        rows.print("kept at the site (of the bundle)", size(site), "", "", f"{size(site) / full:.3f}")
        inventory = work / "Site.inventory"
        said = subprocess.run(
            [BIN / "flipctl", "airlock", "inventory", "Site", "--out", inventory, "--site-folder", site, "--json"],
            check=True,
            capture_output=True,
        )
        (work / "sites").write_text(json.loads(said.stdout)["allowed_signer"] + "\n")
    with fresh_engine(work / "engine"):
        theirs, _ = timed("docker", "load", "--quiet", "--input", work / "all.tar")
        rows.print("docker load of one docker save", (work / "all.tar").stat().st_size, theirs, "", "")
    rows.print("load (of docker load)", "", "", "", f"{ours / theirs:.2f}")
    against = (f"--for={inventory}", f"--sites={work / 'sites'}")
    for what, edit in (("one file changed in a layer", one_file), ("a layer made again", other_times)):
        later = f"{release}-{edit.__name__}"
        layer, tags = remake(work, release, later, edit)
        seconds, memory = pack(work, later, later, NAMES, *against)
        travelled = size(work / later, "*.tar")
        rows.print(f"{what} (of full)", travelled, seconds, memory, f"{travelled / full:.4f}")
        rows.print(f"{what} (of the layer, zstd)", layer, "", "", f"{travelled / layer:.4f}")
        subprocess.run(["docker", "rmi", *tags], check=True, stdout=subprocess.DEVNULL)


def one_file(number: int, member: tarfile.TarInfo, content: bytes) -> bytes:
    """Changes one file of a layer: the first that has some size."""
    return content[:100] + b"changed" + content[107:] if number == 0 and member.size > 1000 else content


def other_times(_number: int, member: tarfile.TarInfo, content: bytes) -> bytes:
    """Changes the time of every file of a layer, as a build without cache does."""
    member.mtime = int(member.mtime) + 100_000
    return content


def remake(
    work: Path, release: str, later: str, edit: Callable[[int, tarfile.TarInfo, bytes], bytes]
) -> tuple[int, list[str]]:
    """Gives all images another tag; the largest layer of one is made again. Its packed size, and the new tags."""
    content, store = read((work / "full" / "manifest.json").read_bytes()), PackStore(work / "store")
    image = next(each for each in content.images if each.name == f"flip/{REMADE}:{release}")
    largest = max(image.layers, key=lambda digest: content.by_digest[digest].size)
    with (work / "layer.tar").open("wb") as out, tarfile.open(fileobj=out, mode="w") as written:
        numbered = 0
        with tarfile.open(fileobj=Chunks(store.read(largest)), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                opened = archive.extractfile(member) if member.isreg() else None
                changed = edit(numbered, member, opened.read() if opened else b"")
                numbered += member.size > 1000
                written.addfile(member, io.BytesIO(changed) if member.isreg() else None)
    blobs = {largest: (work / "layer.tar").read_bytes()}
    new = hashlib.sha256(blobs[largest]).hexdigest()
    config = json.loads(b"".join(store.read(image.config)))
    config["rootfs"]["diff_ids"] = [name.replace(largest, new) for name in config["rootfs"]["diff_ids"]]
    text = json.dumps(config).encode()
    made = Image(
        f"flip/{REMADE}:{later}",
        image.architecture,
        hashlib.sha256(text).hexdigest(),
        tuple(new if layer == largest else layer for layer in image.layers),
    )
    given = {made.config: text, new: blobs[largest]}

    def content_of(digest: str) -> tuple[int, Iterator[bytes]]:
        if digest in given:
            return len(given[digest]), iter([given[digest]])
        return content.by_digest[digest].size, store.read(digest)

    engine.load([(made, list(made.layers))], content_of)
    tags = [f"flip/{name}:{later}" for name in NAMES]
    for name in NAMES:
        if name != REMADE:
            subprocess.run(["docker", "tag", f"flip/{name}:{release}", f"flip/{name}:{later}"], check=True)
    return store.stored_size(largest), tags


def of_sizes(work: Path, sizes: list[float]) -> None:
    """Memory and disk by the size of a bundle of files that do not compress."""
    key = make_key(work / "key")
    Rows.print("GB of files", "pack s", "pack MB", "load s", "load MB", "disk / bundle")
    for gigabytes in sizes:
        files, dice = work / "files", random.Random(1)
        files.mkdir()
        for number in range(int(gigabytes * 10)):
            with (files / str(number)).open("wb") as file:
                for _ in range(10):
                    file.write(dice.randbytes(10_000_000))
        packing = pack(work, "bundle", "1", (), "--files", files)
        shutil.rmtree(files)
        shutil.rmtree(work / "store")
        site = new_site(work / "site", key)
        loading = timed(BIN / "flipctl", "airlock", "load", work / "bundle", "--site-folder", site)
        ratio = size(site) / size(work / "bundle", "*.tar")
        Rows.print(str(gigabytes), *packing, *loading, f"{ratio:.3f}")
        for folder in (site, work / "bundle"):
            shutil.rmtree(folder)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", type=float, help="GB of files; without images")
    parser.add_argument("--release", default="0.1.0", help="tag of the images (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="folder to work in, on a disk with room")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="flip-airlock-", dir=arguments.work) as folder:
        if arguments.sizes:
            of_sizes(Path(folder), arguments.sizes)
        else:
            of_images(Path(folder), arguments.release)


if __name__ == "__main__":
    main()

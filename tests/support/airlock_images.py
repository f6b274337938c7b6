"""Images, Debian packages and wheels for tests of dossiers, made without Docker, dpkg or pip."""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence

from backports import zstd

from flip_airlock.manifest import Image
from flip_airlock.pack.blobs import PackStore

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


def layer(files: Mapping[str, bytes | str | None], time: int = 1_700_000_000) -> bytes:
    """A layer: files with their content, folders with None, symbolic links with where they point."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mtime = time
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return written.getvalue()


def status(*packages: tuple[str, str], state: str = "install ok installed") -> bytes:
    """dpkg's list of packages with their versions."""
    return b"".join(
        f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nSource: src-{name} (1:{version})\n"
        f"Version: {version}\nDescription: one\n Version: not this\n\n".encode()
        for name, version in packages
    )


def metadata(name: str, version: str, *more: str) -> bytes:
    """METADATA of a Python distribution; `more` are further lines."""
    return "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more, "", "text"]).encode()


def image(store: PackStore, name: str, layers: Sequence[bytes], **config: object) -> Image:
    """An image whose blobs are in the store, which has to be one's own."""
    digests = [store.put([content]) for content in layers]
    document = {"config": config, "rootfs": {"diff_ids": [f"sha256:{digest}" for digest in digests]}}
    return Image(name, "amd64", store.put([json.dumps(document).encode()]), tuple(digests))


def deb(control: str, files: Mapping[str, bytes], packed: str = ".xz") -> bytes:
    """A Debian package."""
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar{packed}": PACKERS[packed](layer({"./": None, "./control": control.encode()})),
        f"data.tar{packed}": PACKERS[packed](layer({f"./{name}": content for name, content in files.items()})),
    }
    members = (
        f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
        for name, content in parts.items()
    )
    return b"!<arch>\n" + b"".join(members)


def wheel(members: Mapping[str, bytes]) -> bytes:
    """A wheel."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return written.getvalue()

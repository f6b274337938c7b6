"""Manifests that a trusted key signed, and that are wrong all the same."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airlock import Airlock, tree
from backports import zstd

from flip_airlock import AirlockError
from flip_airlock.manifest import Blob, Entry, File, Image, Manifest, Part, Piece, Stored, read, write
from flip_airlock.tar import END, member

CONTENT = b"content of a file\n" * 100
SEGMENT = "flip-1.0.0.0001.tar"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def bundle_of(airlock: Airlock, stored: bytes, about: dict[str, Any], **given: Any) -> Path:
    """A signed bundle with one blob, stored in this way."""
    segment = b"".join(member("blobs/x", len(stored), [stored])) + END
    part = Part(0, 512, len(stored))
    how = Stored(**{"encoding": "raw", "size": len(stored), "sha256": sha(stored), "parts": (part,), **about})
    blob = Blob(given.pop("digest", DIGEST), given.pop("size", len(CONTENT)), how)
    content = Manifest(
        **{
            "release": "1.0.0",
            "counter": 1,
            "revision": "x",
            "baseline": None,
            "images": (),
            "files": (Entry("a", blob.digest),),
            "blobs": (blob,),
            "segments": (File(SEGMENT, len(segment), sha(segment)),),
            "extras": (),
            **given,
        }
    )
    folder = airlock.sign(airlock.folder / "made", content)
    (folder / SEGMENT).write_bytes(segment)
    return folder


def refused(airlock: Airlock, folder: Path) -> str:
    before = tree(airlock.site.folder)
    with pytest.raises(AirlockError) as caught:
        airlock.site.load(folder)
    left = {name: what for name, what in tree(airlock.site.folder).items() if "/partial/" not in name}
    assert left == before
    assert not (airlock.site.folder / "current").exists()
    return str(caught.value)


def test_a_good_one_is_loaded(airlock: Airlock) -> None:
    airlock.site.load(bundle_of(airlock, CONTENT, {}))
    assert (airlock.site.folder / "current" / "files" / "a").read_bytes() == CONTENT


def test_content_that_is_not_what_its_name_says(airlock: Airlock) -> None:
    other = CONTENT[:-1] + b"!"
    assert "has another content" in refused(airlock, bundle_of(airlock, other, {}))


def test_fewer_bytes_than_it_is_said_to_have(airlock: Airlock) -> None:
    packed = zstd.compress(CONTENT)
    made = bundle_of(airlock, packed, {"encoding": "zst"}, size=len(CONTENT) + 1)
    assert "has another content" in refused(airlock, made)


def test_a_bomb_stops_at_the_size_it_is_said_to_have(airlock: Airlock) -> None:
    packed = zstd.compress(bytes(1 << 30))
    assert len(packed) < 100_000
    made = bundle_of(airlock, packed, {"encoding": "zst"}, size=1 << 20, digest=sha(bytes(1 << 20)))
    assert "has more than the 1048576 bytes" in refused(airlock, made)


def test_a_frame_that_wants_too_much_memory(airlock: Airlock) -> None:
    content = bytes(200 << 20)
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    packed = packer.compress(content) + packer.flush()
    made = bundle_of(airlock, packed, {"encoding": "zst"}, size=len(content), digest=sha(content))
    assert "too much memory" in refused(airlock, made)


@pytest.mark.parametrize(
    "packed", [zstd.compress(b""), b"no frame at all", zstd.compress(CONTENT)[:-3], zstd.compress(CONTENT) + b"more"]
)
def test_what_is_no_single_frame(airlock: Airlock, packed: bytes) -> None:
    assert refused(airlock, bundle_of(airlock, packed, {"encoding": "zst"}))


def test_a_patch_of_something_that_makes_more_than_it_says(airlock: Airlock) -> None:
    base, new = b"base" * 1000, b"base" * 1000 + b"new"
    frame = zstd.compress(bytes(1 << 26), zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)
    piece = Piece(len(new), len(frame), 0, len(base))
    stored = base + frame
    raw = Stored("raw", len(base), sha(base), (Part(0, 512, len(base)),))
    patch = Stored("patch", len(frame), sha(frame), (Part(0, 512 + len(base), len(frame)),), sha(base), (piece,))
    blobs = (Blob(sha(base), len(base), raw), Blob(sha(new), len(new), patch))
    made = bundle_of(
        airlock, stored, {}, blobs=blobs, files=(Entry("a", sha(new)),), digest=sha(stored), size=len(stored)
    )
    with pytest.raises(AirlockError, match="a piece of a patch makes"):
        airlock.site.load(made)
    assert sha(new) not in airlock.site.store


def test_images_for_another_machine(airlock: Airlock) -> None:
    image = Image("flip/hub:1.0.0", "s390x", DIGEST, (DIGEST,))
    assert "for s390x, this machine is" in refused(airlock, bundle_of(airlock, CONTENT, {}, images=(image,)))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/./b",
        "a//b",
        "a/",
        "",
        ".",
        "..",
        "-rf",
        "a\x00b",
        "a\nb",
        "a b",
        "ä",
        "\u202egpj.exe",
        "a\\b",
        "~root/x",
        "*",
        "x" * 300,
        "/".join(["x"] * 600),
    ],
)
def test_a_path_that_is_odd_or_leads_out(path: str) -> None:
    with pytest.raises(AirlockError, match="path"):
        Entry(path, DIGEST)


@pytest.mark.parametrize(
    "path", ["debian/pool/libc6_2.36-9+deb12u9_amd64.deb", "ansible/.ansible-lint", "a~b/x@1:2=3.whl"]
)
def test_a_path_that_packages_have(path: str) -> None:
    assert Entry(path, DIGEST).path == path


def _good(airlock: Airlock) -> dict[str, Any]:
    folder = bundle_of(airlock, CONTENT, {})
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return document


def _set(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("format", value="flip-airlock/2"), "this program reads flip-airlock/1"),
        (_set("release", value="../x"), "the release"),
        (_set("counter", value=True), "the counter"),
        (_set("counter", value=0), "the counter"),
        (_set("counter", value=1.0), "the counter"),
        (_set("more", value=1), "the manifest"),
        (_set("images", value={}), "images"),
        (_set("files", 0, "blob", value="0" * 64), "in the list of blobs"),
        (_set("files", 0, "mode", value=0o4755), "entry"),
        (_set("blobs", 0, "digest", value="0" * 63), "digest"),
        (_set("blobs", 0, "size", value=-1), "size of blob"),
        (_set("blobs", 0, "size", value=1 << 60), "size of blob"),
        (_set("blobs", 0, "size", value=1), "stored size of blob"),
        (_set("blobs", 0, "stored", "encoding", value="xz"), "an encoding"),
        (_set("blobs", 0, "stored", "base", value="0" * 64), "a base"),
        (_set("blobs", 0, "stored", "size", value=2), "the sum of a blob's parts"),
        (_set("blobs", 0, "stored", "parts", 0, "segment", value=1), "within a segment"),
        (_set("blobs", 0, "stored", "parts", 0, "offset", value=1 << 40), "within a segment"),
        (_set("blobs", 0, "stored", "parts", 0, "offset", value=-512), "offset"),
        (_set("segments", 0, "name", value="../../x"), "a file's name"),
        (_set("segments", 0, "name", value="/dev/sda"), "a file's name"),
        (_set("segments", 0, "sha256", value="X" * 64), "sha256"),
        (lambda document: document["files"].append(document["files"][0]), "a path"),
        (lambda document: document["blobs"].append(document["blobs"][0]), "a blob"),
        (lambda document: document["files"].append({"path": "a/b", "blob": DIGEST}), "a path"),
        (lambda document: document["extras"].append({**document["segments"][0]}), "a file"),
        (lambda document: document.pop("images"), "the manifest"),
    ],
)
def test_a_value_that_is_wrong_is_named(airlock: Airlock, change: Callable[[Any], None], says: str) -> None:
    document = _good(airlock)
    change(document)
    with pytest.raises(AirlockError) as caught:
        read(write(document))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"format":"flip-airlock/1","format":"flip-airlock/1"}'],
    ids=["empty", "list", "null", "cut off", "no text", "deep", "twice"],
)
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(AirlockError, match="manifest"):
        read(text)


def test_one_that_is_written_otherwise(airlock: Airlock) -> None:
    document = _good(airlock)
    for text in (
        json.dumps(document).encode(),
        write(document) + b"\n",
        write(document).replace(b'"counter":1', b'"counter":1,"counter":1'),
    ):
        with pytest.raises(AirlockError, match="not written as it has to be"):
            read(text)


def test_sums_that_name_other_files(airlock: Airlock) -> None:
    folder = bundle_of(airlock, CONTENT, {})
    content = read((folder / "manifest.json").read_bytes())
    sums = (folder / "SHA256SUMS").read_bytes() + f"{DIGEST}  zzz\n".encode()
    assert "do not name the same files" in refused(airlock, airlock.sign(folder, content, sums))


def test_bases_that_go_round_in_a_circle() -> None:
    def patched(digest: str, base: str) -> Blob:
        return Blob(digest, 1, Stored("patch", 1, DIGEST, (Part(0, 0, 1),), base, (Piece(1, 1, 0, 1),)))

    segment = File(SEGMENT, 10, DIGEST)
    blobs = (patched("a" * 64, "b" * 64), patched("b" * 64, "a" * 64))
    with pytest.raises(AirlockError, match="a base"):
        Manifest("1", 1, "x", None, (), (), blobs, (segment,), ())


def test_a_manifest_is_read_as_it_was_written(airlock: Airlock) -> None:
    content = read((airlock.pack("1.0.0", {"a/b": CONTENT, "c": b""}) / "manifest.json").read_bytes())
    assert read(content.text) == content
    assert dataclasses.replace(content, counter=5) != content

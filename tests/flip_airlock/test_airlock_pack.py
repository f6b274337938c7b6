"""Packing: the same bytes for the same inputs, under the limit, and small where the site has something like it."""

import random
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from airlock import LIMIT, Airlock, noise
from airlock_images import layer
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as some

from flip_airlock import AirlockError, libzstd
from flip_airlock.bundle import faults, open_bundle
from flip_airlock.manifest import Piece, read
from flip_airlock.pack import delta
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.chunks import Chunks
from flip_airlock.pack.packer import pack, pack_again
from flip_airlock.pack.program import write_program
from flip_airlock.store import Stretches, patched

FILES = {"a/large.bin": noise(3_300_000), "a/small.txt": b"small\n" * 100, "empty": b"", "twice": b"small\n" * 100}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_is_packed_into_the_same_bytes(airlock: Airlock) -> None:
    order = airlock.order("1.0.0", FILES)
    for name in ("one", "other"):
        store = PackStore(airlock.folder / f"store of {name}")
        pack(order, store, airlock.folder / name, airlock.key)
    assert contents(airlock.folder / "one") == contents(airlock.folder / "other")


def test_no_segment_exceeds_the_limit_and_stock_tools_read_it(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    segments = sorted(bundle.glob("*.tar"))
    assert len(segments) == 4
    assert all(path.stat().st_size <= LIMIT for path in segments)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, check=True, capture_output=True)
    content = read((bundle / "manifest.json").read_bytes())
    assert len(content.blobs) == 3, "the same content travels once"
    out = airlock.folder / "out"
    out.mkdir()
    names = []
    for path in segments:
        with tarfile.open(path) as archive:
            names += archive.getnames()
            archive.extractall(out, filter="data")
    large = content.by_digest[next(entry.blob for entry in content.files if entry.path == "a/large.bin")]
    assert [name for name in names if large.digest in name] == [
        f"blobs/{large.digest}.raw.part{number}" for number in (1, 2, 3, 4)
    ]
    joined = b"".join((out / f"blobs/{large.digest}.raw.part{number}").read_bytes() for number in (1, 2, 3, 4))
    assert joined == FILES["a/large.bin"]


def test_a_limit_that_nothing_fits_under(airlock: Airlock) -> None:
    with pytest.raises(AirlockError, match="too small"):
        airlock.pack("1.0.0", FILES, limit=1000)


def test_a_folder_that_is_not_empty(airlock: Airlock) -> None:
    bundle = airlock.pack("1.0.0", FILES)
    with pytest.raises(AirlockError, match="is not empty"):
        airlock.pack("1.0.0", FILES, out=bundle.name)


def test_one_lost_segment_is_made_again_and_no_other(airlock: Airlock) -> None:
    order = airlock.order("1.0.0", FILES)
    bundle, there = airlock.folder / "bundle", airlock.folder / "there"
    pack(order, airlock.store, bundle, airlock.key)
    shutil.copytree(bundle, there)
    (there / "flip-1.0.0.0003.tar").write_bytes(b"damaged on its way")
    assert list(faults(open_bundle(there, airlock.site.signers))) == ["flip-1.0.0.0003.tar"]
    again = airlock.folder / "again"
    again.mkdir()
    shutil.copy(bundle / "manifest.json", again)
    pack_again(order, airlock.store, again, ["flip-1.0.0.0003.tar"])
    assert sorted(path.name for path in again.iterdir()) == ["flip-1.0.0.0003.tar", "manifest.json"]
    shutil.copy(again / "flip-1.0.0.0003.tar", there)
    assert contents(there) == contents(bundle)
    with pytest.raises(AirlockError, match=r"is no segment of this bundle, which has 4"):
        pack_again(order, airlock.store, again, ["flip-1.0.0.0009.tar"])
    with pytest.raises(AirlockError, match=r"are called flip-1.0.0.NUMBER.tar"):
        pack_again(order, airlock.store, again, ["1"])
    other = airlock.order("1.0.0", {**FILES, "empty": b"no longer"}, counter=order.counter)
    with pytest.raises(AirlockError, match="packed from something else"):
        pack_again(other, airlock.store, again, ["flip-1.0.0.0003.tar"])


def patch(store: PackStore, old: bytes, new: bytes) -> tuple[int, bytes]:
    """Size of a patch, and what it makes."""
    with store.alone():
        base, wanted = store.put([old]), store.put([new])
        target = store.partial / "patch"
        pieces = delta.make(store, base, wanted, target, 1 << 40)
        assert pieces is not None
        frames = target.read_bytes()
        target.unlink()
    return len(frames), b"".join(patched(store.read(base), pieces, iter([frames])))


def test_a_layer_made_again_with_the_same_files_travels_as_almost_nothing(airlock: Airlock) -> None:
    """40 MB in more than one piece; other times, and one file came in before all others."""
    files = {f"lib/{at:04}.py": noise(20_000, seed=at) for at in range(2000)}
    old, new = layer(files, 1_700_000_000), layer({"added": noise(700_000), **files}, 1_800_000_000)
    size, made = patch(airlock.store, old, new)
    assert made == new
    assert size < 700_000 + 0.02 * len(new)


def test_patches_are_made_in_little_memory(airlock: Airlock) -> None:
    """The site's side: 160 MB against 160 MB."""
    old = noise(16_000_000) * 10
    new = old[:-5] + b"other"
    with airlock.store.alone():
        base, wanted = airlock.store.put([old]), airlock.store.put([new])
        target = airlock.folder / "patch"
        pieces = delta.make(airlock.store, base, wanted, target, 1 << 40)
    assert pieces
    del old, new
    tracemalloc.start()
    for _ in patched(airlock.store.read(base), pieces, iter([target.read_bytes()])):
        pass
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


@settings(max_examples=30, deadline=None)
@given(some.binary(max_size=5000), some.binary(max_size=5000), some.integers(0, 2**32))
def test_any_content_is_made_of_any_other(
    tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes, seed: int
) -> None:
    dice = random.Random(seed)
    new = old[: dice.randrange(len(old) + 1)] + new
    if not new:
        return
    _, made = patch(PackStore(tmp_path_factory.mktemp("store")), old, new)
    assert made == new


def test_a_patch_that_is_no_smaller_is_not_made(airlock: Airlock) -> None:
    with airlock.store.alone():
        base, wanted = airlock.store.put([noise(100_000)]), airlock.store.put([noise(100_000, seed=2)])
        assert delta.make(airlock.store, base, wanted, airlock.folder / "patch", 90_000) is None


def test_stretches_end_where_the_content_does() -> None:
    stretches = Stretches(iter([b"abc", b"def"]))
    assert (stretches.get(1, 3), stretches.get(2, 4)) == (b"bcd", b"cdef")
    with pytest.raises(AirlockError, match="more of its base than there is"):
        stretches.get(3, 4)
    with pytest.raises(AirlockError, match="makes 3 bytes instead of 4"):
        list(patched(iter([b"x"]), [Piece(4, len(zstd.compress(b"abc")), 0, 0)], iter([zstd.compress(b"abc")])))


@settings(deadline=None)
@given(some.lists(some.binary(max_size=50)), some.lists(some.integers(1, 60)))
def test_chunks_are_read_in_any_lengths(chunks: list[bytes], sizes: list[int]) -> None:
    content, whole, read_so_far = Chunks(chunks), b"".join(chunks), b""
    for size in sizes:
        part = content.read(size)
        assert part == whole[len(read_so_far) : len(read_so_far) + size]
        read_so_far += part


@settings(deadline=None)
@given(some.lists(some.binary(max_size=3000)), some.integers(1, 4000))
def test_what_is_compressed_is_unpacked_again(chunks: list[bytes], size: int) -> None:
    packed = b"".join(libzstd.compress(chunks))
    assert zstd.decompress(packed) == b"".join(chunks)
    pieces = (packed[at : at + size] for at in range(0, len(packed), size))
    assert b"".join(libzstd.decompress(pieces)) == b"".join(chunks)


def test_much_that_was_compressed_comes_in_small_pieces() -> None:
    packed = zstd.compress(bytes(50_000_000) + noise(3_000_000))
    pieces = list(libzstd.decompress([packed]))
    assert b"".join(pieces) == bytes(50_000_000) + noise(3_000_000)
    assert max(map(len, pieces)) <= 1 << 20


def test_a_site_without_libzstd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    libzstd._library.cache_clear()
    monkeypatch.setattr(libzstd, "LIBRARY", "libnot-there.so.1")
    with pytest.raises(AirlockError, match="install the package libzstd1"):
        list(libzstd.decompress([b""]))


def test_the_program_runs_on_nothing_but_python(airlock: Airlock) -> None:
    """Isolated, so that it finds no package of this environment."""
    one, other = airlock.folder / "one.pyz", airlock.folder / "other.pyz"
    write_program(one)
    write_program(other)
    assert one.read_bytes() == other.read_bytes()
    bundle = airlock.pack("1.0.0", FILES, extras={"flip-airlock.pyz": one})
    program = [sys.executable, "-I", "-S", str(bundle / "flip-airlock.pyz")]
    for verb in ("verify", "load"):
        done = subprocess.run(
            [*program, verb, str(bundle), "--site-folder", str(airlock.site.folder)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
    assert airlock.site.current == "1.0.0"

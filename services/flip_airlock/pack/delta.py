"""Layers made against older ones.

A new layer is cut into pieces, and each is compressed with a stretch of the old layer as prefix: that which holds the
same files. So neither side ever holds more than one piece and one stretch in memory.
"""

import bisect
import tarfile
from pathlib import Path

from backports import zstd
from backports.zstd import CompressionParameter as Parameter

from flip_airlock.manifest import Piece
from flip_airlock.pack.blobs import OPTIONS as PLAIN
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.chunks import Chunks
from flip_airlock.store import Stretches

PIECE = 4 << 20
MARGIN = 2 << 20  # before and after the stretch
SPAN = 12 << 20
OPTIONS = PLAIN | {Parameter.window_log: 24}  # a piece and its stretch, so that packing takes no more memory than that
LEAST = 8  # bytes of a prefix that the library takes


def make(store: PackStore, base: str, digest: str, target: Path, most: int) -> tuple[Piece, ...] | None:
    """Writes the frames that make one blob of another; what each makes of what. None where they exceed `most` bytes."""
    old, new = _members(store, base), _members(store, digest)
    common = sorted((at, old[name]) for name, at in new.items() if name in old)
    end = sum(map(len, store.read(base)))
    stretches, content = Stretches(store.read(base)), Chunks(store.read(digest))
    pieces, start, offset, written = list[Piece](), 0, 0, 0
    with target.open("wb") as file:
        while piece := content.read(PIECE):
            start, span = _stretch(common, offset, len(piece), start, end)
            prefix = zstd.ZstdDict(stretches.get(start, span), is_raw=True).as_prefix if span else None
            frame = zstd.compress(piece, options=OPTIONS, zstd_dict=prefix)
            file.write(frame)
            pieces.append(Piece(len(piece), len(frame), start, span))
            offset += len(piece)
            written += len(frame)
            if written > most:
                return None
    return tuple(pieces)


def _stretch(common: list[tuple[int, int]], offset: int, size: int, least: int, end: int) -> tuple[int, int]:
    """Where in the old layer what stands in the new one from `offset` on may be found: start and length."""
    before = bisect.bisect(common, (offset, end)) - 1
    after = bisect.bisect(common, (offset + size, end))
    start = common[before][1] + offset - common[before][0] if before >= 0 else offset
    stop = common[after][1] if after < len(common) else end
    start = min(max(start - MARGIN, least), end)
    span = min(max(stop + MARGIN - start, 0), SPAN, end - start)
    return start, span if span >= LEAST else 0


def _members(store: PackStore, digest: str) -> dict[str, int]:
    """Where each file of a layer begins; nothing where the blob is no archive."""
    try:
        with tarfile.open(fileobj=Chunks(store.read(digest)), mode="r|") as archive:  # type: ignore[call-overload]
            return {member.name: member.offset for member in archive}
    except tarfile.TarError:
        return {}

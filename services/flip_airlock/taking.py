"""The way of blobs from a bundle into a site's store."""

from collections.abc import Iterator

from flip_airlock.bundle import Bundle, stored
from flip_airlock.libzstd import compress
from flip_airlock.manifest import ZSTD, Blob
from flip_airlock.store import Store, patched


class Taking:
    """Blobs on their way from a bundle into the store; `left` are those that are not there yet."""

    def __init__(self, store: Store, bundle: Bundle | None, left: dict[str, Blob]) -> None:
        self.store, self.bundle, self.left = store, bundle, left
        self.bytes = 0

    def read(self, digest: str) -> Iterator[bytes]:
        """A blob's content, which is taken into the store on the way if it is not there."""
        blob = self.left.get(digest)
        if blob is None or blob.stored is None or self.bundle is None:
            yield from self.store.read(digest)
            return
        source, encoding = stored(self.bundle, blob), blob.stored.encoding
        if blob.stored.base is not None:
            if blob.stored.base in self.left:
                self.drain(blob.stored.base)
            source, encoding = compress(patched(self.store.read(blob.stored.base), blob.stored.pieces, source)), ZSTD
        yield from self.store.take(digest, blob.size, encoding, source)
        self.bytes += blob.stored.size
        del self.left[digest]

    def drain(self, digest: str) -> None:
        """Takes a blob in."""
        for _ in self.read(digest):
            pass

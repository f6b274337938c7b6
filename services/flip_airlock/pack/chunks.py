"""A content that comes in chunks, read in lengths that are wanted."""

from collections.abc import Iterable, Iterator


class Chunks:
    """Chunks as a file that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def some(self, most: int) -> bytes:
        """At least one byte and at most `most`; none at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        given, self._rest = self._rest[:most], self._rest[most:]
        return given

    def stretch(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes; fewer where the content ends."""
        while size and (chunk := self.some(size)):
            size -= len(chunk)
            yield chunk

    def read(self, size: int) -> bytes:
        """The next `size` bytes as one; fewer where the content ends."""
        return b"".join(self.stretch(size))

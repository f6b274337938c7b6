"""multipart/related as it streams in: one part in memory at a time never, one chunk at a time."""

import re
from collections.abc import AsyncIterator

from flip_trust.imaging.intake import Intake

_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?')
_HEADER_END = b"\r\n\r\n"
_MAX_HEADER_BYTES = 16_384


class MultipartError(Exception):
    """The body is not multipart, or ends too early."""


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names.

    Raises:
        MultipartError: it names none.
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/") or found is None:
        raise MultipartError("the answer is not multipart")
    return found[1].strip().encode()


async def write_parts(chunks: AsyncIterator[bytes], boundary: bytes, intake: Intake, prefix: str) -> int:
    """Writes each part of the body to `<prefix>-<n>.dcm` of `intake` and returns how many there were.

    Raises:
        MultipartError: the closing boundary never came, or a part has no header.
        TooLarge: a limit of `intake` is reached.
        OSError: the disk is full.
    """
    # The first delimiter has no line break before it: give it one, and all delimiters look alike.
    delimiter, held, count = b"\r\n--" + boundary, b"\r\n", 0
    reader = _Reader(chunks, held)
    await reader.skip_past(delimiter)
    while True:
        ending = await reader.take(2)
        if ending == b"--":
            return count
        header = await reader.read_past(_HEADER_END, _MAX_HEADER_BYTES, start=ending)
        if not header.startswith(b"\r\n"):
            raise MultipartError("a part has no header")
        with intake.open(f"{prefix}-{count:06d}.dcm") as file:
            async for piece in reader.until(delimiter):
                file.write(piece)
        count += 1


class _Reader:
    def __init__(self, chunks: AsyncIterator[bytes], held: bytes) -> None:
        self._chunks, self._held = chunks, held

    async def _more(self) -> None:
        try:
            self._held += await anext(self._chunks)
        except StopAsyncIteration:
            raise MultipartError("the answer ended before its last part did") from None

    async def take(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._more()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    async def skip_past(self, mark: bytes) -> None:
        async for _ in self.until(mark):
            pass

    async def read_past(self, mark: bytes, limit: int, *, start: bytes) -> bytes:
        self._held = start + self._held
        while mark not in self._held:
            if len(self._held) > limit:
                raise MultipartError("a part's header is too long")
            await self._more()
        header, _, self._held = self._held.partition(mark)
        return header

    async def until(self, mark: bytes) -> AsyncIterator[bytes]:
        """What comes before `mark`, piece by piece; `mark` itself is taken off."""
        while (found := self._held.find(mark)) < 0:
            # The mark may begin in the tail and end in the next chunk.
            safe = max(len(self._held) - len(mark) + 1, 0)
            if safe:
                yield self._held[:safe]
                self._held = self._held[safe:]
            await self._more()
        yield self._held[:found]
        self._held = self._held[found + len(mark) :]

"""Archives written member by member: plain files, the same bytes whenever and wherever they are written."""

import tarfile
from collections.abc import Iterable, Iterator

from flip_airlock import AirlockError

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name: str, size: int) -> bytes:
    """What stands before a file."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o444
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What stands after a file."""
    return bytes(-size % BLOCK)


def member(name: str, size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A file in an archive. Raises AirlockError where the chunks are not `size` bytes."""
    yield header(name, size)
    left = size
    for chunk in chunks:
        left -= len(chunk)
        yield chunk
    if left:
        raise AirlockError(f"{name} has {size - left} bytes instead of {size}")
    yield padding(size)

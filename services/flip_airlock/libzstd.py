"""Zstandard by the system's libzstd.

dpkg, apt and systemd need it, so that it is on every Debian and Ubuntu; the module of the same name is in Python from
3.14 on only. API: https://facebook.github.io/zstd/zstd_manual.html
"""

import ctypes
import functools
from collections.abc import Iterable, Iterator
from typing import Any

from flip_airlock import AirlockError

LIBRARY = "libzstd.so.1"
LEVEL = 3
WINDOW_LOG = 26  # 64 MiB; what is packed with more is refused
LEVEL_PARAMETER, WINDOW_PARAMETER = 100, 100
CHUNK = 1 << 20


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer: where, how large, how far."""

    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise AirlockError(f"{LIBRARY} is missing ({error}): install the package libzstd1") from None
    size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    buffers = [pointer, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer)]
    for name, result, arguments in (
        ("ZSTD_createDCtx", pointer, []),
        ("ZSTD_freeDCtx", size, [pointer]),
        ("ZSTD_DCtx_setParameter", size, [pointer, number, number]),
        ("ZSTD_DCtx_refPrefix", size, [pointer, pointer, size]),
        ("ZSTD_decompressStream", size, buffers),
        ("ZSTD_createCCtx", pointer, []),
        ("ZSTD_freeCCtx", size, [pointer]),
        ("ZSTD_CCtx_setParameter", size, [pointer, number, number]),
        ("ZSTD_compressStream2", size, [*buffers, number]),
        ("ZSTD_isError", ctypes.c_uint, [size]),
        ("ZSTD_getErrorName", ctypes.c_char_p, [size]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def ready() -> None:
    """Raises AirlockError where the library is missing."""
    _library()


def _checked(library: Any, code: int) -> int:
    if library.ZSTD_isError(code):
        raise AirlockError(f"zstd: {library.ZSTD_getErrorName(code).decode()}")
    return code


def decompress(chunks: Iterable[bytes], prefix: bytes = b"") -> Iterator[bytes]:
    """Content of one frame, in pieces of at most 1 MiB.

    Args:
        chunks: the frame.
        prefix: what it was made against, if it was.

    Raises:
        AirlockError: damaged, cut off, followed by something, or made with a window of more than 64 MiB.
    """
    library = _library()
    context = library.ZSTD_createDCtx()
    out = ctypes.create_string_buffer(CHUNK)
    try:
        _checked(library, library.ZSTD_DCtx_setParameter(context, WINDOW_PARAMETER, WINDOW_LOG))
        _checked(library, library.ZSTD_DCtx_refPrefix(context, prefix, len(prefix)))
        left = 1
        for chunk in chunks:
            source = _Buffer(ctypes.cast(ctypes.c_char_p(chunk), ctypes.c_void_p), len(chunk), 0)
            full = False
            while source.pos < source.size or full:
                if left == 0 and not full:
                    raise AirlockError("zstd: something follows the frame")
                target = _Buffer(ctypes.addressof(out), CHUNK, 0)
                left = _checked(
                    library, library.ZSTD_decompressStream(context, ctypes.byref(target), ctypes.byref(source))
                )
                full = target.pos == CHUNK and left != 0
                if target.pos:
                    yield ctypes.string_at(out, target.pos)
        if left:
            raise AirlockError("zstd: the frame is cut off")
    finally:
        library.ZSTD_freeDCtx(context)


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """One frame of these chunks."""
    library = _library()
    context = library.ZSTD_createCCtx()
    out = ctypes.create_string_buffer(CHUNK)
    carry_on, end = 0, 2  # ZSTD_EndDirective
    try:
        _checked(library, library.ZSTD_CCtx_setParameter(context, LEVEL_PARAMETER, LEVEL))

        def step(chunk: bytes, directive: int) -> Iterator[bytes]:
            source = _Buffer(ctypes.cast(ctypes.c_char_p(chunk), ctypes.c_void_p), len(chunk), 0)
            while True:
                target = _Buffer(ctypes.addressof(out), CHUNK, 0)
                left = _checked(
                    library,
                    library.ZSTD_compressStream2(context, ctypes.byref(target), ctypes.byref(source), directive),
                )
                if target.pos:
                    yield ctypes.string_at(out, target.pos)
                if source.pos == source.size and (directive == carry_on or left == 0):
                    return

        for chunk in chunks:
            yield from step(chunk, carry_on)
        yield from step(b"", end)
    finally:
        library.ZSTD_freeCCtx(context)

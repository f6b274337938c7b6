"""A file as an answer, whole or in ranges."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.utils import formatdate
from secrets import token_hex

from fastapi.responses import FileResponse, StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable, Response
from starlette.types import Receive, Scope, Send

from flip_common.web import problem_response
from flip_hub.models.files import FileName, Kept, ModelFiles


class ResultFile(FileResponse):
    """Bytes under a file name and an ETag, which is their SHA-256. Reading ends when the client leaves.

    Ranges are read as by Starlette; one that cannot be served is refused with a problem document.
    """

    def __init__(self, files: ModelFiles, name: FileName, kept: Kept, filename: str) -> None:
        headers = {
            "etag": f'"{name.sha256}"',
            "content-length": str(kept.bytes),
            "last-modified": formatdate(kept.at.timestamp(), usegmt=True),
        }
        super().__init__(name.last, media_type="application/octet-stream", filename=filename, headers=headers)
        self.files, self.name, self.bytes = files, name, kept.bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the file."""
        asked = Headers(scope=scope)
        wanted, condition = asked.get("range"), asked.get("if-range")
        ranges = []
        if wanted is not None and (condition is None or self._should_use_range(condition)):
            try:
                ranges = self._parse_range_header(wanted, self.bytes)
            except RangeNotSatisfiable:
                await self._refused(416, "range_not_satisfiable")(scope, receive, send)
                return
            except MalformedRangeHeader:
                await self._refused(400, "malformed_range")(scope, receive, send)
                return
        headers = MutableHeaders(raw=list(self.raw_headers))
        async with aclosing(self._body(ranges, headers)) as body:
            # Taken before anything is sent, so that storage that does not answer is a problem, not half an answer.
            first = await anext(body, b"")
            answer = StreamingResponse(_chained(first, body), 206 if ranges else 200)
            answer.raw_headers = headers.raw
            await answer(scope, receive, send)

    def _body(self, ranges: list[tuple[int, int]], headers: MutableHeaders) -> AsyncGenerator[bytes]:
        """The bytes to send, and `headers` changed to what they are."""
        if not ranges:
            return self.files.chunks(self.name, 0, self.bytes)
        if len(ranges) == 1:
            start, end = ranges[0]
            headers["content-range"] = f"bytes {start}-{end - 1}/{self.bytes}"
            headers["content-length"] = str(end - start)
            return self.files.chunks(self.name, start, end)
        boundary = token_hex(13)
        length, head = self.generate_multipart(ranges, boundary, self.bytes, headers["content-type"])
        headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        headers["content-length"] = str(length)

        async def several() -> AsyncGenerator[bytes]:
            for start, end in ranges:
                yield head(start, end)
                async with aclosing(self.files.chunks(self.name, start, end)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                yield b"\r\n"
            yield f"--{boundary}--".encode()

        return several()

    def _refused(self, status: int, code: str) -> Response:
        detail = f"the Range header does not fit this file of {self.bytes} bytes; ask as in bytes=0-99"
        answer = problem_response(status, code, detail)
        answer.headers["content-range"] = f"bytes */{self.bytes}"
        return answer


async def _chained(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk

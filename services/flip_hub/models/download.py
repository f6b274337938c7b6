"""A file as an answer, whole or in ranges."""

from pathlib import Path

from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from flip_common.web import problem_response


class ResultFile(FileResponse):
    """Bytes under a name and an ETag. A range that cannot be served is refused with a problem document."""

    def __init__(self, path: Path, filename: str, etag: str) -> None:
        headers = {"etag": etag}
        super().__init__(path, media_type="application/octet-stream", filename=filename, headers=headers)
        self.bytes = path.stat().st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the file; Starlette's own refusals, which are plain text, are held back and said anew."""
        refused = 0

        async def checked(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused = message["status"]
            if not refused:
                await send(message)

        await super().__call__(scope, receive, checked)
        if refused:
            detail = f"the Range header does not fit this file of {self.bytes} bytes; ask as in bytes=0-99"
            answer = problem_response(refused, "range_not_satisfiable" if refused == 416 else "malformed_range", detail)
            answer.headers["content-range"] = f"bytes */{self.bytes}"
            await answer(scope, receive, send)

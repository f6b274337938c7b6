"""Structured logs: one JSON object a line on stderr, with the request's id and without any secret."""

import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the request or task being worked on; every log line carries it."""

client_request_id: ContextVar[str] = ContextVar("client_request_id", default="")
"""The id a caller gave its request, if any: it helps to find a request in both logs, and proves nothing."""

REDACTED = "[redacted]"
MIN_SECRET_CHARS = 8

_secrets: set[str] = set()
# Shapes that are secret wherever they turn up: our API keys, compact JWE, bearer tokens, passwords in URLs.
_SHAPES = re.compile(
    r"flip_[A-Za-z0-9_-]{20,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


def register_secrets(values: Iterable[str]) -> None:
    """From now on these values are replaced in every log line. Too short ones are ignored: they hit words."""
    _secrets.update(value for value in values if len(value) >= MIN_SECRET_CHARS)


def redact(text: str) -> str:
    """The text without registered secrets and without anything shaped like one."""
    for secret in _secrets:
        text = text.replace(secret, REDACTED)
    return _SHAPES.sub(REDACTED, text)


class _Formatter(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id.get()
        if theirs := client_request_id.get():
            record.client_request_id = theirs
        return redact(super().format(record))


def configure_logging(service: str, level: str = "INFO") -> None:
    """Sends every logger of the process to stderr as JSON lines; safe to call again.

    Raises:
        ValueError: `level` is not a name `logging` knows.
    """
    if level not in logging.getLevelNamesMapping():
        raise ValueError(f"log level {level!r}: use one of {', '.join(logging.getLevelNamesMapping())}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"service": service},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    # httpx logs every request at INFO, query strings included.
    logging.getLogger("httpx").setLevel(logging.WARNING)

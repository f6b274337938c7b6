"""An HTTP proxy between a site and the hub: how it is named, and a way through it."""

import asyncio
import base64
from asyncio import StreamReader, StreamWriter
from typing import Annotated
from urllib.parse import unquote, urlsplit

import h11
from pydantic import AfterValidator, SecretStr


def _proxy_url(value: SecretStr) -> SecretStr:
    example = (
        "must be http://HOST:PORT, such as http://proxy.example.org:3128, with USER:PASSWORD@ before HOST if need be"
    )
    try:
        parts = urlsplit(value.get_secret_value())
        port = parts.port
    except ValueError:
        raise ValueError(example) from None
    if parts.scheme != "http" or not parts.hostname or not port or parts.path.strip("/") or parts.query:
        raise ValueError(example)
    return value


ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]


class ProxyError(OSError):
    """The proxy does not let us through; the text names it and what it said, and no password."""


async def tunnel(proxy: SecretStr, host: str, port: int, *, limit: int) -> tuple[StreamReader, StreamWriter]:
    """A connection to a server through a proxy, by CONNECT (RFC 9110, 9.3.6).

    Args:
        proxy: The proxy's URL, a `ProxyUrl`.
        host: The server's name, which the proxy looks up.
        port: Its port.
        limit: Bytes that the reader may hold.

    Raises:
        ProxyError: the proxy answers with anything but success.
        OSError: the proxy cannot be reached.
    """
    parts = urlsplit(proxy.get_secret_value())
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=limit)
    try:
        writer.write(_request(parts.username, parts.password, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
        status, words = _answer(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, h11.RemoteProtocolError):
        status, words = 0, "with something that is no HTTP"
    except BaseException:
        writer.transport.abort()
        raise
    if not 200 <= status < 300:
        writer.transport.abort()
        raise ProxyError(f"proxy {parts.hostname}:{parts.port} answered {words}")
    return reader, writer


def _request(user: str | None, password: str | None, target: str) -> bytes:
    headers = [("Host", target)]
    if user is not None:
        word = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {word}"))
    connection = h11.Connection(h11.CLIENT)
    return connection.send(h11.Request(method="CONNECT", target=target, headers=headers)) or b""


def _answer(head: bytes) -> tuple[int, str]:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="CONNECT", target="any:1", headers=[("Host", "any:1")]))
    connection.receive_data(head)
    event = connection.next_event()
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        return 0, "with something that is no HTTP"
    return event.status_code, f"{event.status_code} {event.reason.decode(errors='replace')}"

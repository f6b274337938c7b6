"""An HTTP proxy between a site and the hub: how it is named, and ways through it."""

import asyncio
import base64
import http.client
import socket
from asyncio import StreamReader, StreamWriter
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

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
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="CONNECT", target=target, headers=[("Host", target), *_sign_in(parts).items()])
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=limit)
    try:
        writer.write(connection.send(request) or b"")
        connection.receive_data(await reader.readuntil(b"\r\n\r\n"))
        answer = connection.next_event()
        if not isinstance(answer, h11.Response):
            raise h11.RemoteProtocolError("no answer to CONNECT")
        if not 200 <= answer.status_code < 300:
            words = f"{answer.status_code} {answer.reason.decode(errors='replace')}"
            raise ProxyError(f"proxy {parts.hostname}:{parts.port} answered {words}")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, h11.RemoteProtocolError):
        writer.transport.abort()
        raise ProxyError(f"proxy {parts.hostname}:{parts.port} answered with something that is no HTTP") from None
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def tunnel_socket(proxy: SecretStr, host: str, port: int, timeout: float) -> socket.socket:
    """The same for what waits: a connected socket.

    Args:
        proxy: The proxy's URL, a `ProxyUrl`.
        host: The server's name, which the proxy looks up.
        port: Its port.
        timeout: Seconds for each step.

    Raises:
        OSError: the proxy cannot be reached, or does not let us through; no password is in the text.
    """
    parts = urlsplit(proxy.get_secret_value())
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    connection.set_tunnel(host, port, headers=_sign_in(parts))
    try:
        connection.connect()
    except http.client.HTTPException as error:
        connection.close()
        raise ProxyError(f"proxy {parts.hostname}:{parts.port} answered with something that is no HTTP") from error
    return connection.sock


def _sign_in(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}

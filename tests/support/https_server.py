"""A small HTTPS server on loopback, with a certificate of a tests' CA."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tls_issuer import issuer


class Quiet(BaseHTTPRequestHandler):
    """Answers 501 to everything, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def https_server(folder: Path, handler: type[Quiet] = Quiet) -> Iterator[tuple[str, Path]]:
    """`host:port` of a server, and the CA that it has its certificate of, in a folder that is made."""
    files = issuer(folder)("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"localhost:{server.server_port}", files.ca
        finally:
            server.shutdown()
            thread.join()

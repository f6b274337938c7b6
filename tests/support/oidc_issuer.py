"""A small OpenID Connect issuer on loopback: discovery document, keys, and tokens as Amazon Cognito writes them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

CLIENT = "client-of-the-hub"
DISCOVERY = "/pool/.well-known/openid-configuration"
KEYS = "/pool/keys"


class OidcIssuer(ThreadingHTTPServer):
    """Answers with its documents unless told otherwise; `asked` are the paths it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.keys: list[Key] = [RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS256"})]
        self.status, self.headers = 200, dict[str, str]()
        self.documents: dict[str, Any] = {}
        """Instead of the usual ones, by path; bytes are sent as they are."""
        self.hold = threading.Event()
        self.hold.set()
        """While it is cleared, no answer comes."""
        self.drip_seconds = 0.0
        """Pause before each byte of a body."""

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/pool"

    def add_key(self, kid: str, kind: str = "RSA") -> Key:
        """A new key, published from now on."""
        if kind == "RSA":
            self.keys.append(RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}))
        else:
            self.keys.append(ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"}))
        return self.keys[-1]

    def claims(self, email: str, **changes: Any) -> dict[str, Any]:
        """Claims of an ID token that is all right; None takes one out."""
        now = int(time.time())
        claims = {
            "sub": str(uuid4()),
            "iss": self.url,
            "aud": CLIENT,
            "token_use": "id",
            "auth_time": now,
            "iat": now,
            "exp": now + 3600,
            "jti": str(uuid4()),
            "email": email,
            "email_verified": True,
            "cognito:username": str(uuid4()),
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, email: str, *, key: Key | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token with these claims, signed with its newest key or another."""
        key = key or self.keys[-1]
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        return jwt.encode({"kid": key.kid, "alg": algorithm, **(header or {})}, self.claims(email, **changes), key)

    def answer(self, path: str) -> Any:
        """The document at a path."""
        usual = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url.removesuffix("/pool") + KEYS},
            KEYS: {"keys": [key.as_dict(private=False) for key in self.keys]},
        }
        return {**usual, **self.documents}[path]


class _Handler(BaseHTTPRequestHandler):
    server: OidcIssuer

    def do_GET(self) -> None:
        issuer = self.server
        issuer.asked.append(self.path)
        issuer.hold.wait(60)
        document = issuer.answer(self.path)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(issuer.status)
        for name, value in {**issuer.headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if not issuer.drip_seconds:
                self.wfile.write(content)
            else:
                for byte in content:
                    time.sleep(issuer.drip_seconds)
                    self.wfile.write(bytes([byte]))
        except ConnectionError:
            pass  # the hub had enough

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def oidc_issuer() -> Iterator[OidcIssuer]:
    """The issuer, served until the block ends."""
    with OidcIssuer() as issuer:
        thread = threading.Thread(target=issuer.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield issuer
        issuer.hold.set()
        issuer.shutdown()
        thread.join()

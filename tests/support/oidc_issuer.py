"""A small OpenID Connect issuer on loopback: documents, keys, PKCE, and tokens as Amazon Cognito writes them."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

CLIENT = "client-of-the-hub"
DISCOVERY = "/pool/.well-known/openid-configuration"
KEYS = "/pool/keys"
AUTHORIZE = "/pool/authorize"
TOKEN = "/pool/token"


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
        self.refusal = ""
        """The error of RFC 6749 that `AUTHORIZE` answers with, if not empty."""
        self.claims_changes: dict[str, Any] = {}
        """What tokens of a sign-in say otherwise."""
        self._codes: dict[str, dict[str, str]] = {}

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

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes once somebody has signed in, as whom `login_hint` says: back, with a code."""
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        answer = {"error": self.refusal} if self.refusal else {"code": secrets.token_urlsafe(16)}
        if "code" in answer:
            self._codes[answer["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode({**answer, 'state': asked['state']})}"

    def exchange(self, sent: dict[str, str]) -> dict[str, Any]:
        """The tokens for a code, once (RFC 6749, 4.1.3) and to whoever asked for it (RFC 7636, 4.6)."""
        asked = self._codes.pop(sent.get("code", ""), {})
        digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        ours = sent["grant_type"] == "authorization_code" and sent["client_id"] == CLIENT
        if not ours or challenge != asked.get("code_challenge") or sent["redirect_uri"] != asked["redirect_uri"]:
            return {"error": "invalid_grant"}
        claims = {"nonce": asked["nonce"], **self.claims_changes}
        return {"token_type": "Bearer", "access_token": "-", "id_token": self.token(asked["login_hint"], **claims)}

    def answer(self, path: str) -> Any:
        """The document at a path."""
        root = self.url.removesuffix("/pool")
        usual = {
            DISCOVERY: {
                "issuer": self.url,
                "jwks_uri": root + KEYS,
                "authorization_endpoint": root + AUTHORIZE,
                "token_endpoint": root + TOKEN,
            },
            KEYS: {"keys": [key.as_dict(private=False) for key in self.keys]},
        }
        return {**usual, **self.documents}[path]


class _Handler(BaseHTTPRequestHandler):
    server: OidcIssuer

    def do_GET(self) -> None:
        issuer = self.server
        parts = urlsplit(self.path)
        if parts.path == AUTHORIZE:
            self.send_response(302)
            self.send_header("Location", issuer.authorize(dict(parse_qsl(parts.query))))
            self.end_headers()
            return
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

    def do_POST(self) -> None:
        assert self.path == TOKEN
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = self.server.exchange(dict(parse_qsl(sent)))
        content = json.dumps(answer).encode()
        self.send_response(400 if "error" in answer else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

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

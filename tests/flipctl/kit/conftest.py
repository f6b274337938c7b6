"""Keys, kits made without a hub, and a real hub process for the verbs."""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from oidc_issuer import CLIENT, OidcIssuer, oidc_issuer
from typer.testing import CliRunner

from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_fl.certs import make_net_certificates
from flipctl.cli import app
from flipctl.kit import issue
from flipctl.kit.issue import Order
from flipctl.kit.keys import make_key, recipient, signing_key

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
HUB_URL = "https://hub.example.org/api"
TRUST_ID = str(uuid4())


def never_asked(prompt: str) -> str:
    raise AssertionError(f"asked for {prompt}")


@dataclass(frozen=True)
class Keys:
    """Files of the hub's signing key, its fingerprint, the site's key, a stranger's, and the FL server's CA."""

    signing: Path
    signed_by: str
    site: Path
    stranger: Path
    ca: Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    signed_by = make_key(folder / "signing")
    make_key(folder / "site")
    make_key(folder / "stranger")
    ca = make_net_certificates(folder / "certificates").ca
    return Keys(folder / "signing", signed_by, folder / "site", folder / "stranger", ca)


@pytest.fixture
def order(keys: Keys) -> Order:
    """A kit for Trust_3's site."""
    return Order(
        trust_name="Trust_3",
        hub=HUB_URL,
        fl_server="fl.example.org:9092",
        fl_ca=issue.read_certificates(keys.ca, datetime.now(UTC)),
        hub_ca=None,
        days=30,
        to=[recipient(str(keys.site.with_name("site.pub")))],
        signing_key=signing_key(keys.signing, never_asked),
    )


MakeKit = Callable[..., Path]


@pytest.fixture
def answer() -> dict[str, Any]:
    """What the hub answers when it makes keys."""
    return _hub_answer()


def _hub_answer(name: str = "Trust_3", trust_id: str = TRUST_ID) -> dict[str, Any]:
    return {
        "trust_id": trust_id,
        "trust_name": name,
        "key_id": str(uuid4()),
        "api_key": generate_api_key(),
        "api_key_header": "X-Trust-Api-Key",
        "aes_key_base64": PayloadKey.generate().to_base64(),
        "hub_api_path": "/api",
    }


@pytest.fixture
def make_kit(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeKit:
    """`make_kit("a.flipkit", serial=2, issued_days_ago=40, to=..., trust_id=...)` writes a kit file."""

    def make(
        name: str = "a.flipkit",
        serial: int = 1,
        issued_days_ago: float = 0,
        trust_id: str = TRUST_ID,
        **changes: Any,
    ) -> Path:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.now(tz) - timedelta(days=issued_days_ago)

        changed = replace(order, **changes)
        with monkeypatch.context() as patch:
            patch.setattr(issue, "datetime", Clock)
            _, content = issue.make(changed, _hub_answer(changed.trust_name, trust_id), serial)
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


@dataclass(frozen=True)
class Done:
    """How a verb ended; `output` is stdout and stderr together."""

    status: int
    stdout: str
    output: str


Flipctl = Callable[..., Done]


@pytest.fixture
def flipctl(monkeypatch: pytest.MonkeyPatch) -> Flipctl:
    """`flipctl("kit", "inspect", path, input="...")` runs a verb."""
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("FLIP_KIT_PASSPHRASE", raising=False)
    monkeypatch.delenv("FLIP_TOKEN", raising=False)

    def run(*arguments: object, **options: Any) -> Done:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.output)

    return run


@dataclass(frozen=True)
class RealHub:
    """A hub process with an administrator."""

    api: str

    def get(self, path: str) -> Any:
        with httpx.Client(base_url=self.api, trust_env=False, timeout=30) as client:
            signed_in = client.post("/auth/sign-in", json={"email": EMAIL, "password": PASSWORD}).json()
            answer = client.get(path, headers={"Authorization": f"Bearer {signed_in['token']}"})
            assert answer.status_code == 200, answer.text
            return answer.json()

    def heartbeat(self, header: str, key: str) -> httpx.Response:
        beat = {"sent_at": datetime.now(UTC).isoformat(), "release": "1", "services": {}, "tasks_running": 0}
        return httpx.post(f"{self.api}/trust/heartbeat", json=beat, headers={header: key}, trust_env=False, timeout=30)


@pytest.fixture(scope="session")
def real_hub() -> Iterator[RealHub]:
    with _serving() as address:
        yield RealHub(f"http://{address}/api")


@pytest.fixture(scope="session")
def tls_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """API URL of a hub that speaks TLS, and the private CA its certificate is of."""
    files = make_net_certificates(tmp_path_factory.mktemp("tls"))
    with _serving("--tls-cert", str(files.cert), "--tls-key", str(files.key)) as address:
        yield f"https://{address}/api", files.ca


@pytest.fixture(scope="session")
def oidc_hub() -> Iterator[tuple[str, OidcIssuer]]:
    """API URL of a hub without passwords, and the identity provider that signs its users in."""
    with oidc_issuer() as issuer:
        settings = f"HUB_OIDC_ISSUER={issuer.url}\nHUB_OIDC_CLIENT_ID={CLIENT}\nHUB_LOCAL_PASSWORDS=false\n"
        with _serving(settings=settings) as address:
            yield f"http://{address}/api", issuer


@contextmanager
def _serving(*options: str, settings: str = "") -> Iterator[str]:
    """A hub process with an administrator; gives the public API's address."""
    # Not pytest's own folder, which PostgreSQL's user may not pass when root runs the tests.
    folder = Path(tempfile.mkdtemp(prefix="flip-kit-hub-"))
    folder.chmod(0o711)
    env_file = folder / "hub.env"
    env_file.write_text(f"HUB_DATA_DIR={folder}/data\nINTERNAL_SERVICE_KEY_HASH={hash_api_key('x' * 20)}\n{settings}")
    hub = [sys.executable, "-m", "flip_hub"]
    process = subprocess.Popen(
        [*hub, "serve", "--port", "0", "--internal-port", "0", "--env-file", env_file, *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    log = []
    for line in process.stderr:
        log.append(line)
        if found := re.search(r"public API on (\S+),", line):
            break
    else:
        raise AssertionError("the hub did not start:\n" + "".join(log))
    subprocess.run(
        [*hub, "create-admin", "--email", EMAIL, "--env-file", env_file],
        input=f"{PASSWORD}\n",
        text=True,
        check=True,
        capture_output=True,
    )
    # Read on, or the hub would stand still once the pipe is full of its log.
    reader = threading.Thread(target=log.extend, args=(process.stderr,))
    reader.start()
    yield found[1]
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    reader.join()
    process.stderr.close()
    shutil.rmtree(folder)


@pytest.fixture
def kit(make_kit: Any, keys: Any, flipctl: Any, tmp_path: Path) -> Path:
    """The folder of an opened kit."""
    opened = tmp_path / "opt" / "kit"
    done = flipctl(
        "kit", "open", make_kit(), "--trust", "Trust_3", "--into", opened, "--identity", keys.site, "--signed-by",
        keys.signed_by,
    )  # fmt: skip
    assert done.status == 0, done.output
    return opened

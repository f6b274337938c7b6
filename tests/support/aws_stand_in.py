"""AWS's APIs on this machine, for tests: moto, which keeps what it is told in memory and knows no permissions."""

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-west-2"


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """Its address; everything in it goes with the session."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """boto3 talks to the stand-in, in this process and in those it starts."""
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return moto_server

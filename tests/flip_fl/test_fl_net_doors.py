"""What may come in: keys, apps and paths, on a net without sites."""

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from flip_common.wire import JobSpec

# Flower's own use of pathspec.
pytestmark = [pytest.mark.flower, pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, hub_stand_in: Any, make_net: Callable[..., Any]) -> Iterator[Any]:
    """The hub's side of a net."""
    net = make_net(tmp_path_factory.mktemp("doors"), hub_stand_in)
    try:
        net.start_api()
        yield net
    finally:
        net.close()


def new_key(key: Any = None) -> str:
    """A public key, OpenSSH."""
    public = (key or ec.generate_private_key(ec.SECP384R1())).public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def request_front(net: Any, target: str, method: str = "POST") -> int:
    """Status of a request with this very target on the request line."""
    context = ssl.create_default_context(cafile=str(net.certificates.ca))
    with (
        socket.create_connection(("127.0.0.1", net.front_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        head = f"{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        return int(connection.recv(64).split()[1])


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/docs",
        "/openapi.json",
        "/health",
        "/v1/control/list-runs",
        "/v1/control/start-run",
        "/v1/runtime/acquire-task",
        "/v1/fleet/",
        "/v1/fleet/register-node",
        "/v1/fleet/unregister-node",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "/v1/fleet/..%2fcontrol/list-runs",
        "/v1/fleet/pull-messages/../../control/list-runs",
        "/v1//fleet/pull-messages",
        "//v1/control/list-runs",
        "/v1/fleet//pull-messages",
        "/v1/fleet/pull%2dmessages",
        "/v1/FLEET/pull-messages",
        "/v1/control%2flist-runs",
        "/v1/control;/list-runs",
        "https://localhost/v1/control/list-runs",
        "http://127.0.0.1/docs",
    ],
)
def test_the_front_answers_fleet_paths_only(doors: Any, target: str) -> None:
    assert request_front(doors, target) == 404


def test_the_front_takes_fleet_posts_with_a_known_key_only(doors: Any) -> None:
    assert request_front(doors, "/v1/fleet/pull-messages") in (401, 415, 422)
    assert request_front(doors, "/v1/fleet/pull-messages", "GET") == 404
    assert request_front(doors, "/v1/fleet/pull-messages", "OPTIONS") == 404


def test_the_front_speaks_tls_only(doors: Any) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.post(f"http://127.0.0.1:{doors.front_port}/v1/fleet/pull-messages", trust_env=False, timeout=60)


def test_control_wants_its_key_on_loopback_too(doors: Any) -> None:
    superlink = doors.processes("fl", "flip_fl.flower.superlink")[0]
    option = next(item for item in superlink.cmdline() if item.startswith("--internal-port="))
    context = ssl.create_default_context(cafile=str(doors.root / "fl" / "loopback" / "ca.crt"))
    base = f"https://127.0.0.1:{option.split('=')[1]}"
    with httpx.Client(base_url=base, verify=context, trust_env=False, timeout=60) as client:
        protobuf = {"content-type": "application/x-protobuf"}
        assert client.post("/v1/control/list-runs", headers=protobuf).status_code == 404
        wrong = protobuf | {"x-flip-control-key": "guess"}
        assert client.post("/v1/control/list-runs", headers=wrong).status_code == 404
        assert client.get("/docs").status_code == 404
    assert not [item for item in superlink.cmdline() if "key" in item and "--key=" not in item]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("GET", f"/jobs/{uuid4()}"),
        ("GET", f"/jobs/{uuid4()}/logs"),
        ("DELETE", f"/jobs/{uuid4()}"),
        ("GET", "/sites"),
        ("PUT", "/sites/Trust_A"),
        ("DELETE", "/sites/Trust_A"),
    ],
)
def test_every_call_needs_the_key(doors: Any, method: str, path: str) -> None:
    for headers in ({}, {"X-Fl-Api-Key": "flip_wrong"}):
        answer = httpx.request(method, f"{doors.api.base_url}{path}", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_unknown_jobs_are_not_found(doors: Any) -> None:
    for method, path in (("GET", ""), ("GET", "/logs"), ("DELETE", "")):
        answer = doors.api.request(method, f"/jobs/{uuid4()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_sites_key_is_registered_replaced_and_withdrawn(doors: Any) -> None:
    first, second = new_key(), new_key()
    answer = doors.api.put("/sites/Trust_K", json={"public_key": first})
    assert answer.json() == {"trust": "Trust_K", "online": False, "last_seen_at": None}
    assert doors.api.put("/sites/Trust_K", json={"public_key": first}).status_code == 200
    taken = doors.api.put("/sites/Trust_L", json={"public_key": first})
    assert (taken.status_code, taken.json()["code"]) == (409, "key_in_use")
    assert doors.api.put("/sites/Trust_K", json={"public_key": second}).status_code == 200
    assert [site["trust"] for site in doors.api.get("/sites").json()] == ["Trust_K"]
    # A key that was withdrawn is gone for good.
    withdrawn = doors.api.put("/sites/Trust_K", json={"public_key": first})
    assert (withdrawn.status_code, withdrawn.json()["code"]) == (422, "key_invalid")
    assert doors.api.delete("/sites/Trust_K").status_code == 204
    assert doors.api.delete("/sites/Trust_K").status_code == 204
    assert doors.api.get("/sites").json() == []


@pytest.mark.parametrize("key", ["no key at all " * 5, new_key(ed25519.Ed25519PrivateKey.generate())])
def test_other_keys_are_refused(doors: Any, key: str) -> None:
    answer = doors.api.put("/sites/Trust_K", json={"public_key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "key_invalid")


def test_a_name_that_is_none_is_refused(doors: Any) -> None:
    assert doors.api.put("/sites/a%20b", json={"public_key": new_key()}).status_code == 422


def test_jobs_that_cannot_run_are_refused(
    doors: Any, app_files: dict[str, Any], zip_of: Callable[..., bytes], make_spec: Callable[..., JobSpec]
) -> None:
    app = zip_of(app_files)

    def refused(sent: bytes, spec: JobSpec) -> tuple[int, str, str]:
        answer = doors.submit(sent, spec)
        return answer.status_code, answer.json()["code"], answer.json()["detail"]

    for changes, code, words in (
        ({"run_config": {"rounds": 3, "rate": 0.1}}, "run_config_undeclared", "rounds = 0"),
        ({"run_config": {"num-rounds": "three"}}, "run_config_type", "num-rounds is a string, declared as integer"),
        ({"app_digest": "0" * 64}, "app_digest", "0" * 64),
        ({"min_sites": 3}, "min_sites", "min_sites is 3"),
        ({"backend": "nvflare"}, "backend", "the job is for nvflare"),
        ({}, "unknown_site", "Trust_A, Trust_B"),
    ):
        spec = make_spec(app, **changes)
        status, answer, detail = refused(app, spec)
        assert (status, answer) == (422, code)
        assert words in detail
        assert doors.api.get(f"/jobs/{spec.job_id}").status_code == 404
    nothing = zip_of(
        {"pyproject.toml": "[tool.flwr.app.config]\nflip-model-id=''\nflip-project-id=''\nflip-cohort-query=''"}
    )
    assert refused(nothing, make_spec(nothing))[:2] == (422, "app_invalid")
    big = b"0" * 10_000_001
    assert refused(big, make_spec(big))[:2] == (413, "too_large")
    broken = doors.api.post("/jobs", data={"spec": "{}"}, files={"app": ("app.zip", app)})
    assert (broken.status_code, broken.json()["code"]) == (422, "invalid_request")
    assert "spec/job_id" in broken.json()["detail"]


def test_health_needs_no_key(doors: Any) -> None:
    assert httpx.get(f"{doors.api.base_url}/health", trust_env=False, timeout=60).json() == {"status": "ok"}

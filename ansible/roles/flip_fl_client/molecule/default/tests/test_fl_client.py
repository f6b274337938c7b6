"""The FL client works, and there is one way out of it, which is written down."""

import json
import time

import pytest

CLIENT, EGRESS = "flip-fl-client-fl-client-1", "flip-fl-client-egress-1"
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
LOOK_UP = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"
SITES = (
    "import httpx; print(httpx.get('http://127.0.0.1:8040/sites', "
    "headers={'X-Fl-Api-Key': 'flip_the-fl-apis-key-of-a-test'}).text)"
)


def python(host, container, code, *arguments):
    """What a Python program in a container ends with."""
    return host.run(f'docker exec {container} python -c "{code}" {" ".join(arguments)}')


def inspect(host, container):
    """What the engine knows of it."""
    return json.loads(host.check_output(f"docker inspect {container}"))[0]


def address(host, container, network):
    """Its address on a network."""
    return inspect(host, container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def test_the_fl_server_sees_the_site(host):
    deadline = time.monotonic() + 60
    while not json.loads(python(host, "fl-server", SITES).stdout)[0]["online"]:
        assert time.monotonic() < deadline, host.check_output(f"docker logs --tail 30 {CLIENT} 2>&1")
        time.sleep(1)


def test_the_client_is_on_one_network_that_leads_nowhere(host):
    assert list(inspect(host, CLIENT)["NetworkSettings"]["Networks"]) == ["flip-apps"]
    assert host.check_output("docker network inspect --format '{{.Internal}}' flip-apps") == "true"


@pytest.mark.parametrize(("name", "port"), [("fl-server", 9092), ("hub.test", 8443)])
def test_what_is_outside_is_not_reached_even_by_address(host, name, port):
    outside = address(host, name, "flip-out")
    assert python(host, EGRESS, CONNECT, outside, str(port)).rc == 0, "it is there"
    for where in (outside, "192.0.2.1", "1.1.1.1"):
        assert python(host, CLIENT, CONNECT, where, str(port)).rc != 0


@pytest.mark.parametrize(("name", "port"), [("fl.test", 9092), ("data-access-api", 8010), ("imaging-api", 8001)])
def test_what_it_needs_is_reached_by_name(host, name, port):
    done = python(host, CLIENT, CONNECT, name, str(port))
    assert done.rc == 0, done.stderr


def test_the_server_s_name_is_the_egress_point_for_the_client_alone(host):
    assert python(host, CLIENT, LOOK_UP, "fl.test").stdout.strip() == address(host, EGRESS, "flip-apps")
    assert python(host, EGRESS, LOOK_UP, "fl.test").stdout.strip() == address(host, "fl-server", "flip-out")


@pytest.mark.parametrize("name", ["hub.test", "deb.debian.org", "secret.example.org"])
def test_no_other_name_is_looked_up(host, name):
    done = python(host, CLIENT, LOOK_UP, name)
    assert done.rc != 0, done.stdout
    assert "gaierror" in done.stderr


def test_what_passed_is_written_down(host):
    file = host.file("/opt/flip/fl/egress/ledger.jsonl")
    assert (file.uid, file.mode) == (10001, 0o600)
    lines = [json.loads(line) for line in file.content_string.splitlines()]
    assert {"started", "opened", "closed"} <= {line["event"] for line in lines}
    passed = [line for line in lines if line["event"] in ("closed", "continues")]
    assert sum(line["bytes_out"] for line in passed) > 1000
    assert all(line["at"].endswith("Z") for line in lines)
    opened = next(line for line in lines if line["event"] == "opened")
    assert opened["client"].count(".") == opened["server"].count(".") == 3
    assert host.run(f"docker exec {CLIENT} ls /opt/flip").rc != 0, "the client has no hand on it"


def test_both_are_healthy_confined_and_limited(host):
    host.check_output("systemctl reload flip-fl-client")  # returns when Docker has looked at each
    for name in (CLIENT, EGRESS):
        shown = inspect(host, name)
        assert shown["State"]["Health"]["Status"] == "healthy"
        assert shown["HostConfig"]["ReadonlyRootfs"]
        assert shown["HostConfig"]["CapDrop"] == ["ALL"]
        assert shown["Config"]["User"] == "10001:10001"
        assert not any(shown["NetworkSettings"]["Ports"].values())
    client = inspect(host, CLIENT)["HostConfig"]
    assert (client["Memory"], client["MemorySwap"], client["PidsLimit"]) == (2 << 30, 2 << 30, 4096)
    assert client["ShmSize"] == 1 << 30
    assert set(inspect(host, EGRESS)["NetworkSettings"]["Networks"]) == {"flip-apps", "flip-out"}


def test_of_the_trusts_secrets_the_client_has_the_apps_key_alone(host):
    config = host.check_output("cat /opt/flip/config/fl-client/fl-client/*")
    assert "flip_of-the-apps-of-a-test" in config
    assert "flip_between-the-services" not in config
    assert host.file("/opt/flip/config/fl-client/fl-client/service.env").mode == 0o400
    assert "flip_of-the-apps" not in host.check_output("cat /opt/flip/config/fl-client/egress/*")
    assert "flip_of-the-apps" not in host.check_output(f"docker inspect {CLIENT}; journalctl --no-pager")
    assert [mount["Source"] for mount in inspect(host, CLIENT)["Mounts"] if "sock" in mount["Source"]] == []


def test_the_private_key_stays_in_its_folder(host):
    key = host.file("/opt/flip/fl/site/site.key")
    assert (key.uid, key.mode) == (10001, 0o600)
    assert host.file("/opt/flip/fl/site").mode == 0o700


def test_it_starts_at_boot(host):
    assert host.service("flip-fl-client").is_enabled
    assert host.service("flip-fl-client").is_running

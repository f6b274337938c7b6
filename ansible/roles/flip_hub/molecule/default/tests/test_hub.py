"""The hub answers over TLS to those outside, and to them nothing else does."""

import json

import pytest

testinfra_hosts = ["flip-molecule-hub"]
HUB, DB = "flip-hub-hub-1", "flip-hub-hub-db-1"
SIGN_IN = {"email": "ada@hub.test", "password": "correct horse battery"}
ASK = """
import json, socket, ssl, sys
want = json.load(sys.stdin)
raw = socket.create_connection((want["address"], want["port"]), timeout=4)
context = ssl.create_default_context(cadata=want["ca"])
with context.wrap_socket(raw, server_hostname="hub.test") as tls:
    body = json.dumps(want["body"]).encode() if want["body"] else b""
    head = f"{want['method']} /api{want['path']} HTTP/1.0\\r\\nHost: hub.test\\r\\nContent-Type: application/json\\r\\n"
    head += f"Authorization: Bearer {want['token']}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
    tls.sendall(head.encode() + body)
    print(b"".join(iter(lambda: tls.recv(65536), b"")).decode().partition("\\r\\n\\r\\n")[2])
"""


@pytest.fixture
def outside(host):
    return host.get_host("docker://flip-molecule-hub-outside")


@pytest.fixture
def address(host):
    return host.check_output("ip -4 -o addr show dev eth0").split()[3].partition("/")[0]


@pytest.fixture
def ask(host, outside, address):
    """`ask("GET", "/health")`: what the hub tells somebody on another host who trusts its authority."""
    authority = host.file("/opt/flip/config/certificates/ca.crt").content_string

    def asked(method, path, body=None, token=""):
        want = {"address": address, "port": 443, "ca": authority, "method": method, "path": path}
        want |= {"body": body, "token": token}
        return json.loads(outside.check_output("printf %s %s | python3 -c %s", "%s", json.dumps(want), ASK))

    return asked


def test_it_answers_over_tls(ask):
    assert ask("GET", "/health") == {"status": "ok"}


def test_it_shows_the_certificate_that_was_renewed_last(host):
    print_it = "openssl x509 -noout -fingerprint -sha256"
    shown = host.check_output(f"openssl s_client -connect 127.0.0.1:443 </dev/null 2>&1 | {print_it}")
    assert shown == host.check_output(f"{print_it} -in /opt/flip/config/certificates/hub.crt")


def test_the_administrator_of_before_upgrade_and_rollback_signs_in(ask):
    token = ask("POST", "/auth/sign-in", SIGN_IN)["token"]
    assert [user["email"] for user in ask("GET", "/users", token=token)] == ["ada@hub.test"]


def test_settings_are_the_inventorys(host):
    lines = host.file("/opt/flip/config/hub/hub/service.env").content_string.splitlines()
    assert "COHORT_QUERIES_PER_DAY='7'" in lines
    assert not [line for line in lines if line.startswith("INTERNAL_SERVICE_KEY=")]


def reachable(outside, address, port):
    command = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    return outside.run("python3 -c %s %s %s", command, address, str(port)).rc == 0


def test_nothing_but_443_is_reachable_from_outside(host, outside, address):
    assert reachable(outside, address, 443)
    for port in (5432, 8000, 8050):
        assert not reachable(outside, address, port), port


@pytest.mark.parametrize(("container", "port"), [(HUB, 8050), (DB, 5432)])
def test_a_route_to_the_containers_own_addresses_does_not_help(host, outside, address, container, port):
    networks = json.loads(host.check_output("docker inspect %s", container))[0]["NetworkSettings"]["Networks"]
    assert "flip-hub" in networks
    for network in networks.values():
        outside.check_output("ip route replace %s/32 via %s", network["IPAddress"], address)
        assert not reachable(outside, network["IPAddress"], port), network["IPAddress"]


def test_the_internal_api_is_on_the_hubs_network_and_asks_for_its_key(host):
    script = """
import http.client
call = http.client.HTTPConnection("hub-internal", 8050, timeout=5)
call.request("POST", "/api/internal/models/00000000-0000-0000-0000-000000000000/metrics", "{}")
print(call.getresponse().status)
"""
    shown = host.run("docker run --rm --network flip-hub --entrypoint python flip/hub:other -c %s", script)
    assert shown.stdout.strip() == "401", shown.stderr


def test_the_database_takes_the_hub_alone(host):
    shown = json.loads(host.check_output("docker inspect %s", DB))[0]
    assert list(shown["NetworkSettings"]["Networks"]) == ["flip-hub"]
    assert shown["HostConfig"]["PortBindings"] in ({}, None)


def test_secrets_are_in_no_definition(host):
    shown = host.check_output("docker inspect %s %s", HUB, DB)
    shown += host.file("/opt/flip/config/hub/compose.yml").content_string
    for name in ("hub_db", "internal_service_key", "fl_api_key"):
        assert host.file(f"/opt/flip/config/secrets/{name}").content_string.strip() not in shown


def test_a_trust_is_onboarded_as_documented(host):
    command = "docker exec --env FLIP_PASSWORD --env FLIP_KIT_PASSPHRASE %s flipctl %s"
    host.run_expect([0, 1], command % (HUB, "kit keygen /data/kit-signing"))
    made = host.run(
        "FLIP_PASSWORD='correct horse battery' FLIP_KIT_PASSPHRASE='battery staple correct' "
        + command % (HUB, "trust onboard Trust_1 --hub https://hub.test/api --via https://hub.test:8000/api ")
        + "--hub-ca /config/ca.crt --email ada@hub.test --passphrase --out /data/Trust_1.flipkit "
        "--signing-key /data/kit-signing --fl-server fl.test:9092 --fl-ca /config/ca.crt --json"
    )
    assert made.rc == 0, made.stderr
    assert json.loads(made.stdout)["trust_name"] == "Trust_1"
    assert host.file("/opt/flip/data/hub/Trust_1.flipkit").mode == 0o600


def test_the_unit_starts_at_boot(host):
    assert host.service("flip-hub").is_enabled
    assert host.service("flip-hub").is_running

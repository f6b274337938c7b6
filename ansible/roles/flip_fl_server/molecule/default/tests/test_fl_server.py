"""The front answers over TLS as the site's name, the FL API to the hub alone."""

import json
import os

FL = "flip-fl-server-fl-server-1"
HUB_IMAGE = f"flip/hub:{os.environ['FLIP_RELEASE']}"


def test_the_front_shows_a_certificate_of_the_hosts_authority(host):
    shown = host.run(
        "openssl s_client -connect 127.0.0.1:9092 -servername fl.test -verify_hostname fl.test "
        "-CAfile /opt/flip/config/certificates/ca.crt -verify_return_error </dev/null"
    )
    assert "Verify return code: 0 (ok)" in shown.stdout, shown.stdout + shown.stderr


def test_the_hub_reaches_it_with_the_shared_key(host):
    made = host.run(
        "echo 'correct horse battery' | docker exec --interactive flip-hub-hub-1 "
        "python -m flip_hub create-admin --email ada@hub.test --env-file /config/service.env"
    )
    assert made.rc == 0, made.stderr
    script = """
import httpx, ssl
base = "https://hub.test:8000/api"
hub = httpx.Client(verify=ssl.create_default_context(cafile="/config/ca.crt"), trust_env=False)
body = {"email": "ada@hub.test", "password": "correct horse battery"}
token = hub.post(f"{base}/auth/sign-in", json=body).json()["token"]
print(hub.get(f"{base}/nets", headers={"Authorization": f"Bearer {token}"}).text)
"""
    nets = json.loads(host.check_output("docker exec flip-hub-hub-1 python -c %s", script))
    assert [(net["name"], net["reachable"]) for net in nets] == [("net1", True)], nets


def test_the_hub_takes_its_key(host):
    script = """
import httpx
from pathlib import Path
from flip_fl.settings import FlApiSettings
settings = FlApiSettings.load(Path("/config/service.env"))
key = {settings.internal_service_key_header: settings.internal_service_key.get_secret_value()}
url = f"{settings.flip_api_internal_url}/models/00000000-0000-0000-0000-000000000000/metrics"
print([httpx.post(url, json={"points": []}, headers=headers).status_code for headers in (key, {})])
"""
    shown = host.check_output("docker exec %s python -c %s", FL, script)
    assert shown == "[409, 401]", "no run of such a model; no key"


def test_the_fl_api_listens_on_the_hubs_network_alone(host):
    networks = json.loads(host.check_output("docker inspect %s", FL))[0]["NetworkSettings"]["Networks"]
    for network, port, expected in (("flip-hub", 8040, 0), ("flip-out", 8040, 1), ("flip-out", 9092, 0)):
        script = f"import socket; socket.create_connection(('{networks[network]['IPAddress']}', {port}), 3)"
        tried = host.run("docker run --rm --network %s --entrypoint python %s -c %s", network, HUB_IMAGE, script)
        assert tried.rc == expected, (network, port, tried.stderr)


def test_only_the_front_is_published(host):
    bindings = json.loads(host.check_output("docker inspect %s", FL))[0]["HostConfig"]["PortBindings"]
    assert list(bindings) == ["9092/tcp"]


def test_state_and_settings_are_kept(host):
    assert host.file("/opt/flip/data/fl-server/mark").content_string == "kept"
    lines = host.file("/opt/flip/config/fl-server/fl-server/service.env").content_string.splitlines()
    assert "FL_SITE_GRACE_SECONDS='45'" in lines


def test_secrets_are_in_no_definition(host):
    shown = host.check_output("docker inspect %s", FL)
    shown += host.file("/opt/flip/config/fl-server/compose.yml").content_string
    for name in ("internal_service_key", "fl_api_key"):
        assert host.file(f"/opt/flip/config/secrets/{name}").content_string.strip() not in shown


def test_the_unit_starts_at_boot_after_the_hub(host):
    unit = host.service("flip-fl-server")
    assert unit.is_enabled
    assert unit.is_running
    assert "flip-hub.service" in unit.systemd_properties["After"].split()

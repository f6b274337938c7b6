"""The services work together, each on the networks it needs, and their secrets are their own."""

import json

import pytest

SERVICES = {
    "data-access-api": {"flip-apps", "flip-data"},
    "imaging-api": {"flip-apps", "flip-data"},
    "trust-api": {"flip-data", "flip-out"},
}
SECRETS = ("flip_the-trusts-own-key-of-a-test", "MDEyMzQ1Njc4", "flip_between-the-services", "flip_of-the-apps-of")
ASK = """
import json, sys, urllib.request
key, url, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None,
    {{"X-Trust-Internal-Service-Key": key, "Content-Type": "application/json"}})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def container(service):
    """Its name on the host."""
    return f"flip-trust-{service}-1"


def inspect(host, service):
    """What the engine knows of it."""
    return json.loads(host.check_output(f"docker inspect {container(service)}"))[0]


def ask(host, url, body=""):
    """The answer of one of the services to trust-api."""
    program = f"python - {SECRETS[2]}-of-a-test {url} '{body}' <<'PY'\n{ASK.format()}PY"
    return json.loads(host.check_output(f"docker exec -i {container('trust-api')} {program}"))


@pytest.mark.parametrize("service", SERVICES)
def test_each_is_healthy_confined_and_where_it_belongs(host, service):
    host.check_output("systemctl reload flip-trust")  # returns when Docker has looked at each
    shown = inspect(host, service)
    assert shown["State"]["Health"]["Status"] == "healthy"
    assert shown["HostConfig"]["ReadonlyRootfs"]
    assert shown["HostConfig"]["CapDrop"] == ["ALL"]
    assert set(shown["NetworkSettings"]["Networks"]) == SERVICES[service]
    assert not any(shown["NetworkSettings"]["Ports"].values()), "nothing is published"


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_are_in_its_own_file_alone(host, service):
    file = host.file(f"/opt/flip/config/trust/{service}/service.env")
    assert (file.uid, file.mode) == (10001, 0o400)
    assert host.run(f"setpriv --reuid 65534 --clear-groups cat {file.path}").rc != 0
    text = file.content_string
    assert ("TRUST_API_KEY=" in text) == (service == "trust-api")
    assert ("flip_owner:" in text) == (service == "data-access-api")
    seen = host.check_output(f"docker inspect {container(service)}; cat /opt/flip/config/trust/compose.yml")
    assert not [secret for secret in SECRETS if secret in seen]


def test_no_secret_is_in_the_journal(host):
    passwords = [
        host.file(f"/opt/flip/config/secrets/{name}").content_string.strip() for name in ("omop_owner", "omop_reader")
    ]
    journal = host.check_output("journalctl --no-pager")
    assert not [secret for secret in (*SECRETS, *passwords) if secret in journal]


def test_the_hub_is_reached_with_key_and_certificate_of_the_kit(host):
    heard = host.check_output("docker logs hub 2>/dev/null")
    assert "POST /api/trust/heartbeat flip_the-trusts-own-key-of-a-test" in heard
    assert "PUT /api/trust/fl-key flip_the-trusts-own-key-of-a-test" in heard
    assert "BFirst" in heard, "the FL client's public key"
    beats = [line.split(" ", 3)[3] for line in heard.splitlines() if "/heartbeat" in line]
    assert json.loads(beats[-1])["services"] == {"data-access-api": True, "imaging-api": True}


def test_a_cohort_is_counted_in_the_prepared_database(host):
    query = {
        "query_id": "0c7ad0c1-4f3c-4f3c-9f3c-0c7ad0c14f3c",
        "project_id": "1c7ad0c1-4f3c-4f3c-9f3c-0c7ad0c14f3c",
        "query": "SELECT person_id, ward FROM omop.person",
    }
    answer = ask(host, "http://data-access-api:8010/cohort/statistics", json.dumps(query))
    assert answer["subjects"]["value"] == 200
    assert answer["columns"][0]["bins"][0]["label"] == "east", "a column that the site added"


def test_imaging_answers(host):
    found = ask(host, "http://imaging-api:8001/imports/0c7ad0c1-4f3c-4f3c-9f3c-0c7ad0c14f3c")
    assert found["studies"] == []
    assert host.file("/opt/flip/data/imaging").uid == 10001


def test_it_starts_at_boot_after_the_database(host):
    unit = host.service("flip-trust")
    assert unit.is_enabled
    assert unit.is_running
    assert "flip-omop.service" in unit.systemd_properties["After"]

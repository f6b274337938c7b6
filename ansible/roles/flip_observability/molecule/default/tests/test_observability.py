"""Logs and measures are kept, alerts stand where they should, Grafana is on the loopback address, nothing leaves."""

import base64
import json
import time
from urllib.parse import quote

import pytest

PARTS = ("alloy", "grafana", "loki", "metrics", "prometheus")
PAGES = "http://127.0.0.1:3000"
ASK = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Authorization": sys.argv[2]} if sys.argv[2] else {})
try:
    print(200, urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)
    print("reached")
except OSError as error:
    print(error)
"""


def until(what, look, seconds=150):
    """What `look` found, once it found something."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, what
        time.sleep(3)
    return seen


@pytest.fixture(scope="module")
def password(host):
    return host.file("/opt/flip/config/secrets/grafana_admin").content_string.strip()


@pytest.fixture(scope="module")
def pages(host, password):
    """`pages("/api/search")`: what Grafana answers its administrator on the loopback address."""
    auth = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()

    def asked(path, auth=auth):
        status, _, body = host.check_output("python3 -c %s %s %s", ASK, f"{PAGES}{path}", auth).partition(" ")
        return int(status), json.loads(body)

    return asked


@pytest.fixture(scope="module")
def prometheus(pages):
    """`prometheus("query?query=up")`: what Prometheus answers, through Grafana."""
    return lambda path: pages(f"/api/datasources/proxy/uid/prometheus/api/v1/{path}")[1]["data"]


@pytest.fixture(scope="module")
def values(prometheus):
    """`values("up", "job")`: the newest values by a label."""

    def asked(query, label):
        found = prometheus(f"query?query={quote(query)}")["result"]
        return {one["metric"].get(label): float(one["value"][1]) for one in found}

    return asked


def container(host, name):
    return json.loads(host.check_output(f"docker inspect flip-observability-{name}-1"))[0]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_confined(host, name):
    found = container(host, name)
    assert found["State"]["Status"] == "running"
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert not found["HostConfig"]["CapAdd"]
    assert found["HostConfig"]["Memory"]
    assert list(found["NetworkSettings"]["Networks"]) == ["flip-observability"]
    assert not [bound for bound in found["NetworkSettings"]["Ports"].values() if bound]
    assert not [mount for mount in found["Mounts"] if "docker.sock" in mount["Source"]]


def test_each_has_a_user_of_its_own(host):
    users = {name: container(host, name)["Config"]["User"] for name in PARTS}
    assert len(set(users.values())) == len(PARTS)
    assert [name for name, user in users.items() if user.startswith("0:")] == ["alloy"]


def test_docker_is_only_read_and_by_alloy_alone(host):
    seen = {
        (name, mount["Source"], mount["RW"])
        for name in PARTS
        for mount in container(host, name)["Mounts"]
        if mount["Source"].startswith("/var/lib/docker")
    }
    assert seen == {("alloy", "/var/lib/docker/containers", False)}


def test_its_network_leads_nowhere(host):
    assert host.check_output("docker network inspect --format '{{.Internal}}' flip-observability") == "true"
    theirs = json.loads(host.check_output("docker inspect theirs"))[0]["NetworkSettings"]["IPAddress"]
    assert host.check_output("python3 -c %s %s 8000", REACH, theirs) == "reached", "else what follows shows nothing"
    for name in ("alloy", "grafana", "loki", "metrics"):
        for target, port in ((theirs, "8000"), ("192.0.2.1", "80"), ("hub.example.org", "443")):
            said = host.check_output(
                "docker exec flip-observability-%s-1 python3 -c %s %s %s", name, REACH, target, port
            )
            assert said != "reached", f"{name} reaches {target}"


def test_grafana_is_shown_on_the_loopback_address_alone(host):
    listening = host.check_output("ss --no-header --listening --tcp --numeric").splitlines()
    assert [line.split()[3] for line in listening if ":3000" in line.split()[3]] == ["127.0.0.1:3000"]


def test_its_password_is_this_hosts_own_and_nobody_else_sees_it(host, pages, password):
    assert pages("/api/search")[0] == 200
    assert pages("/api/search", "")[0] == 401
    assert pages("/api/search", "Basic " + base64.b64encode(b"admin:admin").decode())[0] == 401
    assert password not in json.dumps(container(host, "grafana"))
    assert password not in host.file("/opt/flip/config/observability/compose.yml").content_string
    file = host.file("/opt/flip/config/observability/grafana/admin_password")
    assert (file.uid, file.mode) == (10005, 0o400)


def test_sources_and_dashboard_are_there_from_the_start(pages):
    assert {source["uid"] for source in pages("/api/datasources")[1]} == {"loki", "prometheus"}
    assert [board["uid"] for board in pages("/api/search")[1]] == ["flip"]


def test_every_part_is_measured(values):
    jobs = {"alloy", "grafana", "host", "loki", "prometheus"}
    until("all parts are up", lambda: values("up == 1", "job").keys() == jobs)


def test_what_flipctl_status_finds_is_measured(host, values):
    host.check_output(
        "systemctl start flip-status.service"
    )  # the timer's last look may have been while all of it began
    units = [f"flip-{name}.service" for name in ("observability", "status", "grafana", "probe")]
    until("the look was measured", lambda: [values("flip_check", "check").get(unit) for unit in units] == [0, 0, 0, 0])
    measured = values("flip_check", "check")
    assert measured["flip-probe/thing"] == 0
    assert measured["kit"] == 2, "there is no kit on this host"
    assert measured["backup"] == 1
    assert measured["flip-observability/loki"] == 0
    assert values("flip_memory_available_bytes", "job")["host"] > 0
    assert "/opt/flip/volumes" in values("flip_disk_free_bytes", "folder")


def test_a_container_that_stops_raises_its_alert(host, values):
    def states(name):
        return values(f'ALERTS{{alertname="{name}"}}', "check")

    until("the kit that is missing is told", lambda: values('ALERTS{alertname="KitBad"}', "check"))
    assert "flip-probe/thing" not in states("ContainerUnwell")
    host.check_output("docker stop flip-probe-thing-1")
    host.check_output("systemctl start flip-status.service")
    until("the rule has seen it", lambda: "flip-probe/thing" in states("ContainerUnwell"))
    host.check_output("systemctl restart flip-probe.service")
    host.check_output("systemctl start flip-status.service")
    until("the rule has seen that it runs again", lambda: "flip-probe/thing" not in states("ContainerUnwell"))


def test_prometheus_has_the_rules_and_keeps_what_it_may(prometheus):
    groups = prometheus("rules")["groups"]
    assert {group["name"] for group in groups} == {"host", "hub", "observability"}
    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])
    flags = prometheus("status/flags")
    assert (flags["storage.tsdb.retention.time"], flags["storage.tsdb.retention.size"]) == ("30d", "2GiB")
    assert prometheus("alertmanagers")["activeAlertmanagers"] == [], "nothing is sent to anybody"


def logged(pages, **labels):
    """Lines of a stream, as Grafana gets them from Loki."""
    query = quote("{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}")
    found = pages(f"/api/datasources/proxy/uid/loki/loki/api/v1/query_range?query={query}")[1]["data"]["result"]
    return [value[1] for stream in found for value in stream["values"]]


def test_flips_logs_are_kept_and_nobody_elses(pages):
    lines = until("the log came", lambda: logged(pages, project="flip-probe", service="thing", stream="stdout"))
    assert "said by FLIP" in lines
    assert not [line for line in logged(pages, stream="stdout") if "said by others" in line]


def test_loki_forgets_after_thirty_days(host):
    settings = host.file("/opt/flip/config/observability/loki/loki.yml").content_string
    assert "retention_period: 720h" in settings
    assert "retention_enabled: true" in settings


@pytest.mark.parametrize("unit", ["flip-observability.service", "flip-status.timer", "flip-grafana.socket"])
def test_it_starts_at_boot(host, unit):
    assert host.service(unit).is_enabled
    assert host.service(unit).is_running


def test_data_are_each_users_own(host):
    for name, user in (("alloy", 0), ("grafana", 10005), ("loki", 10006), ("prometheus", 10007), ("targets", 0)):
        folder = host.file(f"/opt/flip/volumes/{name}")
        assert (folder.uid, folder.mode) == (user, 0o700), name

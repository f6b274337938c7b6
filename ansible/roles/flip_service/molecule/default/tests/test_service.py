"""A deployed container is healthy, confined, and comes back at boot."""

import json

CONTAINER = "flip-probe-db-1"


def test_it_is_healthy_and_confined(host):
    host.check_output("systemctl reload flip-probe")  # returns when Docker has looked at it
    shown = json.loads(host.check_output(f"docker inspect {CONTAINER}"))[0]
    assert shown["State"]["Health"]["Status"] == "healthy"
    assert shown["HostConfig"]["ReadonlyRootfs"]
    assert shown["HostConfig"]["CapDrop"] == ["ALL"]
    assert shown["HostConfig"]["SecurityOpt"] == ["no-new-privileges:true"]
    assert shown["HostConfig"]["Init"]
    assert shown["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert list(shown["NetworkSettings"]["Networks"]) == ["flip-data"]


def test_the_unit_runs_and_starts_at_boot(host):
    unit = host.service("flip-probe")
    assert unit.is_enabled
    assert unit.is_running
    assert unit.systemd_properties["NoNewPrivileges"] == "yes"
    assert "docker.service" in unit.systemd_properties["Requires"].split()


def test_secrets_are_the_containers_alone(host):
    file = host.file("/opt/flip/config/probe/db/password")
    assert (file.uid, file.mode) == (10002, 0o400)
    assert "a-password-of-a-test" not in host.file("/opt/flip/config/probe/compose.yml").content_string
    assert host.run("setpriv --reuid 65534 --clear-groups ls /opt/flip/config/probe").rc != 0
    assert "a-password-of-a-test" not in host.check_output(f"docker inspect {CONTAINER}")
    assert "a-password-of-a-test" not in host.check_output("journalctl --no-pager"), "modules log what they are given"


def test_data_outlive_the_container(host):
    assert host.file("/opt/flip/data/probe").uid == 10002
    assert host.run("ls /opt/flip/data/probe").stdout

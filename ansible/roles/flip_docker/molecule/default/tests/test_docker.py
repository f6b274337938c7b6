"""A bare host has an engine and Compose."""

import json


def test_engine_runs_and_starts_at_boot(host):
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled
    assert host.run("docker info").rc == 0


def test_engine_was_started_once(host):
    """It started with its options: nothing was restarted on the way."""
    assert host.run("systemctl show --value --property=NRestarts docker").stdout.strip() == "0"
    assert host.run("journalctl --unit docker --output cat | grep -c 'Daemon has completed init'").stdout.strip() == "1"


def test_logs_are_rotated(host):
    options = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert options["log-opts"] == {"max-size": "10m", "max-file": "5"}
    assert (
        host.run("docker info --format '{{.LoggingDriver}} {{.LiveRestoreEnabled}}'").stdout.strip()
        == "json-file false"
    )


def test_compose_is_version_2(host):
    assert int(host.run("docker compose version --short").stdout.lstrip("v").split(".")[0]) >= 2


def test_nobody_is_in_the_docker_group(host):
    assert host.group("docker").members == []


def test_no_restart_is_due(host):
    assert json.loads(host.file("/etc/docker/flip-daemon.json").content_string)["restart"] is False

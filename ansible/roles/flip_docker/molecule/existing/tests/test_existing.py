"""An engine that was there, its operator's options and containers are what they were."""

import json


def test_the_running_container_was_not_touched(host):
    running = host.run(
        "docker inspect --format '{{.State.Running}} {{.State.Pid}} {{.RestartCount}}' theirs"
    ).stdout.split()
    assert running == ["true", host.file("/root/pid").content_string.strip(), "0"]
    assert host.run("docker exec theirs cat /began").stdout == host.file("/root/began").content_string


def test_the_engine_was_restarted_once_with_the_merged_options(host):
    assert host.run("journalctl --unit docker --output cat | grep -c 'Daemon has completed init'").stdout.strip() == "2"
    assert (
        host.run("docker info --format '{{.LoggingDriver}} {{.LiveRestoreEnabled}}'").stdout.strip()
        == "json-file false"
    )


def test_the_operators_options_stand(host):
    file = host.file("/etc/docker/daemon.json")
    assert json.loads(file.content_string) == {
        "exec-opts": ["native.cgroupdriver=systemd"],
        "labels": ["ward=7"],
        "log-opts": {"labels": "ward", "max-size": "10m", "max-file": "5"},
        "log-driver": "json-file",
        "live-restore": False,
    }
    assert file.mode == 0o600
    assert host.run("docker info --format '{{.Labels}}'").stdout.strip() == "[ward=7]"


def test_no_restart_is_due(host):
    assert json.loads(host.file("/etc/docker/flip-daemon.json").content_string)["restart"] is False

"""Nothing of FLIP is left, and nothing of the operator's is missing."""

import json

testinfra_hosts = ["flip-molecule-remove"]


def test_no_unit_file_or_program_is_left(host):
    places = "/etc /usr/local /var/lib /var/cache /run /opt"
    left = host.check_output(f"find {places} -name '*flip*' -not -path '/var/lib/docker/*' -not -path '*/dpkg/*'")
    assert left == ""
    assert host.check_output("systemctl list-units --all --no-legend 'flip-*'") == ""
    assert not host.socket("tcp://127.0.0.1:3000").is_listening


def test_no_container_network_or_image_is_left(host):
    running = host.check_output("docker ps --format '{{.Names}}'").split()
    assert sorted(name.split(".")[0] for name in running) == ["theirs", "theirs"]
    networks = host.check_output("docker network ls --format '{{.Name}}'").split()
    assert sorted(networks) == ["bridge", "docker_gwbridge", "host", "ingress", "none", "theirs"]
    assert host.check_output("docker image ls --format '{{.Repository}}'") == "theirs"


def test_no_stack_or_secret_is_left_in_the_operators_swarm(host):
    assert host.check_output("docker service ls --format '{{.Name}} {{.Replicas}}'") == "theirs 1/1"
    assert host.check_output("docker secret ls --format '{{.Name}}'") == "theirs"


def test_the_firewalls_table_is_gone(host):
    assert "inet flip" not in host.check_output("nft list tables")


def test_the_service_user_is_gone(host):
    assert not host.user("flip").exists
    assert not host.group("flip").exists


def test_the_operators_container_never_stopped(host):
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' theirs")
    assert pid == host.check_output("cat /root/pid")
    assert host.check_output("pidof dockerd") == host.check_output("cat /root/dockerd")


def test_the_operators_options_are_as_they_were(host):
    said = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert said == {"exec-opts": ["native.cgroupdriver=systemd"], "labels": ["ward=7"]}


def test_data_kit_and_backup_had_stayed_until_they_were_named(host):
    kept = host.check_output("cat /root/kept").split()
    assert sorted(kept) == [
        "/opt/flip/backup/one",
        "/opt/flip/config/policy.yml",
        "/opt/flip/data/probe/records",
        "/opt/flip/kit/kit.json",
    ]

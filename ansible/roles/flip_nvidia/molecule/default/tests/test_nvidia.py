"""Containers get the stand-in's GPU by each way that the engine knows."""

import json

import pytest

testinfra_hosts = ["flip-molecule-nvidia", "flip-molecule-nvidia-files"]
GPU = "GPU 0: NVIDIA STAND-IN"


def test_the_runtime_is_known_beside_the_other_roles_options(host):
    options = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert options["runtimes"] == {"nvidia": {"path": "nvidia-container-runtime"}}
    assert options["exec-opts"] == ["native.cgroupdriver=systemd"]
    assert options["log-driver"] == "json-file"
    assert "nvidia" in host.check_output("docker info --format '{{json .Runtimes}}'")


def test_a_container_gets_the_gpus(host):
    assert GPU in host.check_output("docker run --rm --gpus all small nvidia-smi -L")


def test_a_container_runs_with_the_runtime(host):
    host.check_output("docker run --rm --runtime nvidia small true")
    assert "create" in host.file("/var/log/nvidia-container-runtime").content_string


def test_a_container_gets_a_described_device(host):
    version = host.check_output("docker version --format '{{.Server.Version}}'")
    if int(version.split(".")[0]) < 25:
        pytest.skip(f"engine {version} knows no CDI")
    assert GPU in host.check_output("docker run --rm --device nvidia.com/gpu=all small nvidia-smi -L")


def test_the_description_is_there_and_nothing_but_it(host):
    file = host.file("/etc/cdi/nvidia.yaml")
    assert (file.user, file.mode) == ("root", 0o644)
    assert json.loads(file.content_string)["kind"] == "nvidia.com/gpu"


def test_containers_went_on_running(host):
    running = host.check_output("docker inspect --format '{{.State.Running}} {{.State.Pid}}' theirs").split()
    assert running == ["true", host.file("/root/pid").content_string.strip()]


def test_no_restart_is_due(host):
    for name in ("flip-daemon.json", "flip-daemon-nvidia.json"):
        assert json.loads(host.file(f"/etc/docker/{name}").content_string)["restart"] is False

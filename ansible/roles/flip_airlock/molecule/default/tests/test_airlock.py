"""A host that has no network was provisioned from a bundle alone."""

import json
import os

import pytest

IMAGE = f"flip/trust-api:{os.environ['FLIP_RELEASE']}"


def test_docker_and_compose_are_there(host):
    assert host.service("docker").is_running
    assert host.run("docker compose version").rc == 0


def test_images_are_left_to_containerd_where_the_engine_can(host):
    version, driver = host.check_output("docker info --format '{{.ServerVersion}} {{json .DriverStatus}}'").split(
        " ", 1
    )
    assert ("io.containerd.snapshotter" in driver) == (int(version.split(".")[0]) >= 26)


def test_the_image_runs(host):
    done = host.run(f"docker run --rm --network none --entrypoint python {IMAGE} -c 'print(6 * 7)'")
    assert done.stdout == "42\n", done.stderr


@pytest.mark.parametrize("package", ["docker.io", "nvidia-container-toolkit"])
def test_packages_came_from_the_bundle(host, package):
    assert host.package(package).is_installed
    policy = host.check_output("APT_CONFIG=/opt/flip/airlock/apt.conf apt-cache policy %s", package)
    assert "file:/opt/flip/airlock/current/files/apt/" in policy
    assert "http" not in policy


def test_receipts_say_what_was_loaded(host):
    """First files, then, when Docker was there, images; nothing the second time."""
    said = host.run("python3 /opt/flip/airlock/flip-airlock.pyz receipt --json")
    files, receipt = json.loads(said.stdout)["receipts"]
    assert (files["action"], receipt["action"]) == ("files", "load")
    assert receipt["signer"] == "release@example.org"
    assert list(receipt["images"]) == [IMAGE]
    assert receipt["loaded"] == [IMAGE]


def test_the_host_can_provision_itself(host):
    said = host.run("python3 /opt/flip/airlock/flip-airlock.pyz ansible --json")
    assert said.rc == 0, said.stderr
    programs = json.loads(said.stdout)
    listed = host.run(f"{programs['ansible_playbook']} --list-tags -i localhost, {programs['playbook']}")
    assert listed.rc == 0, listed.stderr
    assert "airlock" in listed.stdout


def test_another_bundle_is_refused(host):
    """One that was altered on its way."""
    host.run("cp -r /mnt/airlock /tmp/altered && echo >>/tmp/altered/flip-airlock.pyz")
    done = host.run("python3 /opt/flip/airlock/flip-airlock.pyz verify /tmp/altered")
    assert done.rc == 1
    assert "flip-airlock.pyz: has " in done.stdout

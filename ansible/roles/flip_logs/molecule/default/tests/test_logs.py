"""The archive lies on the controlling machine, tells what is needed, and holds no secret."""

import json
import os
import tarfile
from pathlib import Path

import pytest

testinfra_hosts = ["flip-molecule-logs"]
FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "logs"
SECRETS = ("a-secret-of-the-kit-0001", "correct horse battery", "in-the-url-0002", "in-the-environment-0003")


@pytest.fixture
def collected():
    with tarfile.open(FOLDER / "flip-molecule-logs.tar.gz") as archive:
        return {one.name: archive.extractfile(one).read().decode() for one in archive.getmembers()}


def test_the_archive_is_its_owners_alone():
    assert (FOLDER / "flip-molecule-logs.tar.gz").stat().st_mode & 0o777 == 0o600


def test_it_tells_what_is_needed(collected):
    assert "works as it should" in collected["containers/flip-probe-thing-1.log"]
    assert "flip-probe" in collected["units/flip-probe.service.log"]
    assert "thing" in json.loads(collected["compose/probe.json"])["services"]
    assert json.loads(collected["containers/flip-probe-thing-1.json"])["State"]["Status"] == "running"
    assert "Server" in collected["versions/docker.txt"]


def test_no_secret_is_in_it(collected):
    text = "".join(collected.values())
    assert not [secret for secret in SECRETS if secret in text]
    assert "[redacted]" in collected["containers/flip-probe-thing-1.log"]
    assert "PLAIN_PASSWORD" in collected["compose/probe.json"]
    assert not [name for name in collected if name.endswith(".env")]


def test_what_is_anothers_is_not_in_it(collected):
    assert not [name for name in collected if "theirs" in name]


def test_what_could_not_be_had_is_told(collected):
    assert any("flipctl" in command for command in json.loads(collected["missing.json"]))


def test_nothing_stays_on_the_host(host):
    assert host.check_output("find /tmp /root -name 'flip-logs-*'") == ""


def test_a_bare_host_has_an_archive_too():
    with tarfile.open(FOLDER / "flip-molecule-logs-bare.tar.gz") as archive:
        assert "versions/system.txt" in archive.getnames()

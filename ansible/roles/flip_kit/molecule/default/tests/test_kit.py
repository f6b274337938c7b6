"""The kit lies open, for root alone, and nothing that opens it stays."""

import json

testinfra_hosts = ["flip-molecule-kit"]
FILES = {"kit.json", "trust.env", "services.env", "fl-site.env", "ca.pem", "hub-ca.pem"}


def test_the_folder_is_roots_alone(host):
    folder = host.file("/opt/flip/kit")
    assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o700)
    assert set(folder.listdir()) == FILES
    for name in FILES:
        file = host.file(f"/opt/flip/kit/{name}")
        assert (file.user, file.mode) == ("root", 0o600), name


def test_the_newest_kit_was_opened_last(host):
    about = json.loads(host.file("/opt/flip/kit/kit.json").content_string)
    assert (about["header"]["trust_name"], about["header"]["serial"]) == ("Trust_1", 3)


def test_nothing_else_lies_beside_it(host):
    assert sorted(host.file("/opt/flip").listdir()) == ["config", "kit"]


def test_what_opens_the_kit_did_not_stay(host):
    assert not host.file("/run/flip-kit").exists
    assert host.check_output("docker ps --all --quiet") == ""
    key = host.file("/root/kits/site").content_string.splitlines()[2]
    for secret in (key, "a passphrase of the kit"):
        assert host.run("grep -rlsF -- %s /run /tmp /var/log /opt/flip /root/.ansible", secret).stdout == ""
        assert host.run("journalctl --output cat | grep -qF -- %s", secret).rc == 1

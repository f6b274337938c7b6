"""Both hosts hold what was backed up, and are backed up every day."""

import json
from pathlib import Path

STATE = Path(__file__).parents[1] / "files" / "state.py"


def test_what_was_backed_up_is_there(host):
    wanted = json.loads(host.file("/srv/state.json").content_string)
    found = json.loads(host.check_output("python3 -c %s", STATE.read_text()))
    assert wanted["database"][0].startswith("100000|")
    assert any("/opt/flip/data/imaging/study/1.dcm 10001:10001" in file for file in wanted["files"])
    assert found == wanted


def test_nothing_is_left_of_the_restore(host):
    patterns = "-name '*.replaced' -o -name '*.restoring*' -o -name '*.key.*'"
    assert host.check_output(f"find /opt/flip /run -maxdepth 4 {patterns}") == ""
    assert not host.file("/run/flip-backup.key").exists


def test_services_run(host):
    for name in ("omop", "orthanc"):
        assert host.service(f"flip-{name}").is_running


def test_a_backup_is_made_every_day(host):
    assert host.service("flip-backup.timer").is_enabled
    assert host.service("flip-backup.timer").is_running
    assert "flip-backup.service" in host.check_output("systemctl list-timers --all")
    assert host.run("systemctl start flip-backup.service").rc == 0
    assert host.check_output("systemctl show --value --property=Result flip-backup.service") == "success"


def test_backups_are_roots_alone_and_the_last_one_is_encrypted(host):
    folder = host.file("/opt/flip/backup")
    assert (folder.user, folder.mode) == ("root", 0o700)
    newest = host.check_output("ls -d /opt/flip/backup/trust-*").splitlines()[-1]
    assert host.check_output(f"head --bytes=21 {newest}/database.dump.zst.age") == "age-encryption.org/v1"
    secret = host.file("/opt/flip/config/secrets/omop_owner").content_string.strip()
    assert host.run(f"grep --recursive --quiet {secret} {newest}").rc == 1
    assert host.check_output(f"cd {newest} && sha256sum --check --quiet SHA256SUMS") == "", "coreutils can check it"


def test_what_was_sealed_is_in_no_log_of_docker(host):
    assert host.check_output("find /var/lib/docker/containers -name '*-json.log' -size +1M") == ""


def test_help_shows_examples(host):
    assert "flip-backup restore trust-" in host.check_output("flip-backup --help")
    assert "release" in host.check_output("flip-backup list")

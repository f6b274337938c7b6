"""The database has its records, and only those who should reach it do."""

import json

CONTAINER = "flip-omop-db-1"
ASK = "psql -qAt -h /tmp -U flip_owner omop"


def ask(host, statement):
    """What the database answers."""
    inside = f'PGPASSWORD="$(head -n 1 /config/password)" {ASK} --command "{statement}"'
    return host.check_output("docker exec %s sh -c %s", CONTAINER, inside)


def test_records_were_loaded_once(host):
    assert ask(host, "SELECT count(*), max(name) FROM omop.person") == "1000|Grace"


def test_settings_are_the_sites(host):
    assert ask(host, "SHOW work_mem") == "8MB"


def test_it_runs_confined_on_the_data_network_alone(host):
    host.check_output("systemctl reload flip-omop")  # returns when Docker has looked at it
    shown = json.loads(host.check_output(f"docker inspect {CONTAINER}"))[0]
    assert shown["State"]["Health"]["Status"] == "healthy"
    assert list(shown["NetworkSettings"]["Networks"]) == ["flip-data"]
    assert "omop-db" in shown["NetworkSettings"]["Networks"]["flip-data"]["Aliases"]
    assert not any(shown["NetworkSettings"]["Ports"].values()), "not published"
    assert shown["HostConfig"]["ShmSize"] == 1 << 30


def test_data_lie_where_the_backup_and_the_operator_expect_them(host):
    folder = host.file("/opt/flip/data/omop")
    assert (folder.uid, folder.mode) == (10002, 0o700)
    assert host.file("/opt/flip/data/omop/cluster/PG_VERSION").content_string.strip() == "15"


def test_the_password_is_nowhere_but_in_its_files(host):
    password = host.file("/opt/flip/config/secrets/omop_owner").content_string.strip()
    assert password not in host.check_output(f"docker inspect {CONTAINER}")
    assert password not in host.check_output("journalctl --no-pager")
    assert password not in host.check_output("ps -eww -o args")


def test_no_copy_of_the_records_is_left(host):
    assert not host.file("/opt/flip/data/omop-load").exists


def test_it_starts_at_boot(host):
    assert host.service("flip-omop").is_enabled
    assert host.service("flip-omop").is_running

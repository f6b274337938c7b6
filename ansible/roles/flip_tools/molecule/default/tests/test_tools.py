"""Root has flipctl on the host; it reads and does not write."""

import json

FLIPCTL = "/usr/local/sbin/flipctl"


def status(host):
    done = host.run(f"{FLIPCTL} status --json")
    return done.rc, json.loads(done.stdout)


def test_only_root_runs_it(host):
    file = host.file(FLIPCTL)
    assert (file.user, file.group, file.mode) == ("root", "root", 0o755)
    done = host.run(f"runuser --user flip -- sh {FLIPCTL} status")
    assert (done.rc, "only root" in done.stderr) == (1, True)


def test_status_tells_containers_and_units(host):
    code, said = status(host)
    assert code == 1, "there is no kit here"
    (row,) = said["containers"]
    assert (row["check"], row["verdict"], row["found"]) == ("flip-probe/thing", "ok", "running, healthy")
    assert row["release"] == row["image"].rpartition(":")[2]
    findings = {row["check"]: row for row in said["findings"]}
    assert findings["flip-probe.service"]["verdict"] == "ok"
    assert findings["kit"]["verdict"] == "fault"
    assert [name for name in findings if name.startswith("disk of")], "Docker's disk or FLIP's was not looked at"


def test_a_stopped_container_is_a_fault_with_its_remedy(host):
    host.check_output("docker stop flip-probe-thing-1")
    _, said = status(host)
    assert said["containers"][0]["verdict"] == "fault"
    assert "systemctl restart flip-probe" in said["containers"][0]["remedy"]
    host.check_output("systemctl restart flip-probe")
    _, said = status(host)
    assert said["containers"][0]["verdict"] == "ok"


def test_no_verb_can_write(host):
    made = host.run(f"{FLIPCTL} keys generate --env-file /opt/flip/config/made.env")
    assert made.rc != 0
    assert "Read-only file system" in made.stdout + made.stderr
    assert not host.file("/opt/flip/config/made.env").exists


def test_another_verb_ends_with_its_own_status(host):
    done = host.run(f"{FLIPCTL} doctor --service trust-api --env-file /opt/flip/none.env --json")
    assert (done.rc, json.loads(done.stdout)["faults"] > 0) == (1, True)


def test_nothing_is_left_of_a_call(host):
    names = host.check_output("docker ps --all --format '{{.Names}}'").split()
    assert sorted(names) == ["flip-probe-thing-1", "theirs"]


def test_the_airlocks_verbs_are_the_bundles(host):
    done = host.run(f"{FLIPCTL} airlock receipt --json")
    assert (done.rc, "no bundle was loaded here" in done.stderr) == (1, True)
    program = "/opt/flip/airlock/flip-airlock.pyz"
    host.check_output(f"mkdir -p /opt/flip/airlock && echo 'import sys; print(sys.argv[1:])' >{program}")
    done = host.run(f"{FLIPCTL} airlock receipt --json")
    host.check_output(f"rm {program}")
    assert (done.rc, done.stdout) == (0, "['receipt', '--json']\n")

"""Parts of flip_observability that need no host: what flip-status writes, and that nothing is told outside."""

import configparser
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_tree import ROOT, Promtool, parsed, python
from jinja2 import Environment, StrictUndefined

ROLE = ROOT / "ansible/roles/flip_observability"
flip_status = python("flip_observability", "files/flip_status.py")
IDS = ["a" * 64, "b" * 64, "c" * 64, "d" * 64]
DOCUMENT = {
    "containers": [{"check": "flip-omop/db", "verdict": "fault"}, {"check": "flip-trust/trust-api", "verdict": "ok"}],
    "findings": [
        {"check": "kit's files", "verdict": "fault"},
        {"check": "kit's files", "verdict": "ok"},
        {"check": 'disk of /srv/"raid"', "verdict": "warning"},
    ],
}


def listed(*rows: tuple[str, ...]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


@pytest.fixture
def docker_root(tmp_path: Path) -> Path:
    for one in IDS[:3]:
        (tmp_path / "containers" / one).mkdir(parents=True)
        (tmp_path / "containers" / one / f"{one}-json.log").touch()
    return tmp_path


def test_only_flips_own_containers_are_read(docker_root: Path) -> None:
    rows = listed(
        (IDS[1], "", "", "flip-xnat", "flip-xnat_xnat-web"),
        (IDS[0], "flip-trust", "trust-api", "", ""),
        (IDS[2], "theirs", "database", "", ""),
        (IDS[3], "flip-omop", "db", "", ""),  # its log is gone already
    )
    assert flip_status.targets(rows, docker_root) == [
        {
            "targets": [IDS[0]],
            "labels": {
                "__path__": f"/containers/{IDS[0]}/{IDS[0]}-json.log",
                "project": "flip-trust",
                "service": "trust-api",
            },
        },
        {
            "targets": [IDS[1]],
            "labels": {
                "__path__": f"/containers/{IDS[1]}/{IDS[1]}-json.log",
                "project": "flip-xnat",
                "service": "xnat-web",
            },
        },
    ]


def test_what_prometheus_reads_is_its_own_format(promtool: Promtool, tmp_path: Path) -> None:
    text = flip_status.measures(DOCUMENT, [tmp_path, tmp_path / "none"], 7, False, 1_700_000_000)
    promtool("check", "metrics", text=text)
    assert 'flip_check{kind="container",check="flip-omop/db"} 2\n' in text
    assert 'flip_check{kind="finding",check="kit\'s files"} 2\n' in text, "of two findings the worse counts"
    assert 'flip_check{kind="finding",check="disk of /srv/\\"raid\\""} 1\n' in text
    assert "\nflip_logs_bytes 7\n" in text
    assert "\nflip_logs_taken 0\n" in text
    assert "\nflip_status_time_seconds 1700000000\n" in text
    assert f'flip_disk_bytes{{folder="{tmp_path}"}} ' in text
    assert "none" not in text


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def looks(docker_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`looks(gb=5)`: flip-status as systemd calls it, with programs that answer as Docker and flipctl do."""
    volumes, programs = tmp_path / "volumes", tmp_path / "bin"
    for name in ("loki", "metrics", "targets"):
        (volumes / name).mkdir(parents=True)
    (volumes / "loki" / "chunk").write_bytes(b"x" * 100_000)
    program(programs, "docker", f"printf '{IDS[0]}\\tflip-trust\\ttrust-api\\t\\t\\n'")
    program(programs, "flipctl", f"echo '{json.dumps(DOCUMENT).replace(chr(39), '')}'; exit 1")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(flip_status, "FLIPCTL", str(programs / "flipctl"))

    def run(gb: float = 5) -> Path:
        arguments = ["--volumes", str(volumes), "--docker-root", str(docker_root), "--logs-gb", str(gb)]
        flip_status.main(arguments)
        return volumes

    run.programs = programs  # type: ignore[attr-defined]
    run.volumes = volumes  # type: ignore[attr-defined]
    return run


def test_a_look_writes_both_files(looks: Any) -> None:
    volumes = looks()
    (target,) = json.loads((volumes / "targets/targets.json").read_text())
    assert target["targets"] == [IDS[0]]
    metrics = volumes / "metrics/metrics.txt"
    assert "flip_logs_taken 1\n" in metrics.read_text()
    assert metrics.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in volumes.glob("*/*")) == ["chunk", "metrics.txt", "targets.json"]


def test_logs_that_take_all_they_may_are_not_taken_any_more(looks: Any) -> None:
    volumes = looks(gb=0.00001)
    assert json.loads((volumes / "targets/targets.json").read_text()) == []
    assert "flip_logs_taken 0\n" in (volumes / "metrics/metrics.txt").read_text()


@pytest.mark.parametrize("broken", ["echo nothing >&2; exit 3", "exit 0", "echo '{'"])
def test_a_look_that_fails_leaves_the_measures_to_grow_old(looks: Any, broken: str) -> None:
    before = (looks() / "metrics/metrics.txt").read_text()
    program(looks.programs, "flipctl", broken)
    with pytest.raises(SystemExit, match=r"flip-status: .*flipctl status"):
        looks()
    assert (looks.volumes / "metrics/metrics.txt").read_text() == before
    assert json.loads((looks.volumes / "targets/targets.json").read_text()), "logs are wanted all the more"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path, ModuleType]]:
    """serve.py over a file that is not there yet."""
    monkeypatch.setattr("sys.argv", ["serve.py", str(tmp_path / "metrics.txt")])
    serve = python("flip_observability", "files/serve.py")
    with ThreadingHTTPServer(("127.0.0.1", 0), serve.Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        serve.Handler.file = tmp_path / "metrics.txt"
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", tmp_path / "metrics.txt", serve
        server.shutdown()
        thread.join()


def test_measures_are_served_as_prometheus_wants_them(
    served: tuple[str, Path, ModuleType], capfd: pytest.CaptureFixture[str]
) -> None:
    url, file, _ = served
    for path, status in (("/metrics", 503), ("/../etc/passwd", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}{path}")
        assert refused.value.code == status
        refused.value.close()
    assert urllib.request.urlopen(f"{url}/health").status == 200
    file.write_text("flip_check 0\n")
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert answer.read() == b"flip_check 0\n"
    assert capfd.readouterr().err == ""


def containers() -> dict[str, Any]:
    """The Compose services as the role makes them of its defaults."""
    template = Environment(undefined=StrictUndefined).from_string(
        (ROLE / "templates/containers.yml.j2").read_text(encoding="utf-8")
    )
    names = parsed(ROLE / "vars/main.yml")
    images = {name: f"flip/{name}:1" for name in names["_flip_observability_parts"]}
    made = template.render(
        {**parsed(ROLE / "defaults/main.yml"), **names, "flip_observability_images": images}
        | {"_flip_observability_docker": "/raid/docker"},
    )
    found: dict[str, Any] = yaml.safe_load(made)
    return found


def test_containers_share_no_user_and_reach_no_other_network() -> None:
    made = containers()
    assert sorted(made) == parsed(ROLE / "vars/main.yml")["_flip_observability_parts"]
    users = [one["user"] for one in made.values()]
    assert len(set(users)) == len(users)
    for name, one in made.items():
        assert one["networks"] == ["flip-observability"], name
        assert not one.keys() & {"ports", "privileged", "cap_add", "network_mode", "pid"}, name
        assert not [volume for volume in one["volumes"] if "docker.sock" in volume], name
        assert one["mem_limit"], name


def test_folders_and_files_are_those_users() -> None:
    names = parsed(ROLE / "vars/main.yml")
    users = names["_flip_observability_users"]
    for file in names["_flip_observability_files"]:
        assert (file["owner"], file["mode"]) == (users[file["service"]], "0400"), file["name"]
    owners = {Path(folder["path"]).name: folder["owner"] for folder in names["_flip_observability_folders"]}
    assert owners == {name: user for name, user in users.items() if name != "metrics"} | {
        "metrics": "0",
        "targets": "0",
    }
    mounted = {volume.split(":")[0] for one in containers().values() for volume in one["volumes"]}
    assert {folder["path"] for folder in names["_flip_observability_folders"]} <= mounted


def test_docker_is_seen_by_alloy_alone_and_only_read() -> None:
    seen = {
        name: [volume for volume in one["volumes"] if volume.startswith("/raid/docker")]
        for name, one in containers().items()
    }
    assert {name: found for name, found in seen.items() if found} == {
        "alloy": ["/raid/docker/containers:/containers:ro"]
    }


def test_nobody_tells_or_asks_anything_outside() -> None:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(ROLE / "files/grafana.ini")
    switched_off = {
        "analytics": ["reporting_enabled", "check_for_updates", "check_for_plugin_updates"],
        "news": ["news_feed_enabled"],
        "plugins": ["plugin_admin_enabled", "preinstall_auto_update"],
        "snapshots": ["external_enabled"],
        "auth.anonymous": ["enabled"],
        "users": ["allow_sign_up"],
        "smtp": ["enabled"],
    }
    for section, names in switched_off.items():
        assert not [name for name in names if ini.getboolean(section, name)], section
    for section, name in (
        ("plugins", "preinstall_disabled"),
        ("plugins", "public_key_retrieval_disabled"),
        ("security", "disable_gravatar"),
    ):
        assert ini.getboolean(section, name), name
    assert "--disable-reporting" in containers()["alloy"]["command"]
    assert loki()["analytics"] == {"reporting_enabled": False}


def loki(**given: int) -> dict[str, Any]:
    template = Environment(undefined=StrictUndefined).from_string(
        (ROLE / "templates/loki.yml.j2").read_text(encoding="utf-8")
    )
    made: dict[str, Any] = yaml.safe_load(
        template.render({**parsed(ROLE / "defaults/main.yml"), **given, "ansible_managed": ""})
    )
    return made


def test_logs_and_measures_are_kept_for_thirty_days() -> None:
    made = loki()
    assert made["limits_config"]["retention_period"] == "720h"
    assert made["compactor"]["retention_enabled"] is True
    assert made["compactor"]["delete_request_store"] == made["schema_config"]["configs"][0]["object_store"]
    assert (made["schema_config"]["configs"][0]["schema"], made["schema_config"]["configs"][0]["store"]) == (
        "v13",
        "tsdb",
    )
    assert made["schema_config"]["configs"][0]["index"]["period"] == "24h", "retention works by the day alone"
    assert loki(flip_observability_days=7)["limits_config"]["retention_period"] == "168h"
    command = containers()["prometheus"]["command"]
    assert {"--storage.tsdb.retention.time=30d", "--storage.tsdb.retention.size=2GB"} <= set(command)


def test_the_dashboard_asks_what_there_is(promtool: Promtool, tmp_path: Path) -> None:
    panels = json.loads((ROLE / "files/flip.json").read_text(encoding="utf-8"))["panels"]
    sources = {source["uid"]: source["type"] for source in parsed(ROLE / "files/datasources.yml")["datasources"]}
    asked = [target for panel in panels for target in panel["targets"]]
    assert {(target["datasource"]["uid"], target["datasource"]["type"]) for target in asked} == set(sources.items())
    queries = [target["expr"] for target in asked if target["datasource"]["uid"] == "prometheus"]
    rules = [{"record": f"asked:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)
    written = flip_status.measures(DOCUMENT, [tmp_path], 0, True, 0)
    for name in re.findall(r"\bflip_\w+", " ".join(queries)):
        assert f"\n{name}" in written, name

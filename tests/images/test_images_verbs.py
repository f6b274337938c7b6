"""`flipctl images` where Docker is missing, silent or at hand as a stand-in; the scripts inside the images."""

import json
import os
import runpy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flipctl.cli import app
from flipctl.images_list import load

ROOT = Path(__file__).resolve().parents[2]
# Answers as Docker would; what it was asked lies beside it.
DOCKER = """#!/bin/sh
echo "$*" >>"$(dirname "$0")/asked"
case "$1 $2" in
  "buildx build") echo '#1 [1/2] FROM base'; echo '#2 ERROR: no such package'; exit "$BUILD_STATUS";;
  "image inspect") echo '[{"Id":"sha256:1","Size":123456789,"RootFS":{"Layers":["a","b"]},"Config":{"Labels":null}}]';;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "dirname", "git"):
        real = next(Path(place) / name for place in ("/usr/bin", "/bin") if (Path(place) / name).exists())
        (folder / name).symlink_to(real)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def docker(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for docker; returns the file that says what it was asked."""
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("BUILD_STATUS", "0")
    return programs / "asked"


@pytest.mark.parametrize("verb", [["build"], ["inspect", "hub"], ["base"]])
def test_without_docker_the_remedy_is_named(programs: Path, verb: list[str]) -> None:
    done = CliRunner().invoke(app, ["images", *verb])
    assert done.exit_code == 1
    assert "there is no docker command here; install Docker" in done.stderr


def test_a_docker_that_does_not_answer_is_told_from_a_missing_one(programs: Path) -> None:
    (programs / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    (programs / "docker").chmod(0o755)
    done = CliRunner().invoke(app, ["images", "build"])
    assert done.exit_code == 1
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert "systemctl start docker" in done.stderr


@pytest.mark.parametrize(("client", "works"), [("20.10.24", True), ("28.2.2", False)])
def test_without_buildx_an_older_docker_builds_and_a_newer_says_what_is_missing(
    docker: Path, client: str, works: bool
) -> None:
    program = docker.parent / "docker"
    answers = '"buildx version") exit 1;;\n  "build --progress") test "$DOCKER_BUILDKIT" = 1;;\n'
    answers += f'  "version --format") echo {client};;\nesac'
    program.write_text(DOCKER.replace("esac", answers))
    done = CliRunner().invoke(app, ["images", "build", "omop-db"])
    assert (done.exit_code == 0) == works, done.output
    assert ("install docker-buildx" in done.stderr) != works


def test_an_unknown_image_is_refused_before_anything_is_built(docker: Path) -> None:
    done = CliRunner().invoke(app, ["images", "build", "hubb"])
    assert done.exit_code == 1
    assert "no image is called hubb; there are hub," in done.stderr
    assert not docker.exists()


def test_the_list_needs_no_docker(programs: Path) -> None:
    done = CliRunner().invoke(app, ["images", "list", "--json"])
    assert done.exit_code == 0, done.output
    images = {image["name"]: image for image in json.loads(done.stdout)["images"]}
    assert images["fl-client"]["gpu"] is True
    assert images["hub"]["ports"] == [8000, 8050]
    assert images["hub"]["built"] is None
    done = CliRunner().invoke(app, ["images", "list"])
    assert "not built" in done.stdout


def test_images_from_elsewhere_are_listed_with_their_digests(programs: Path) -> None:
    done = CliRunner().invoke(app, ["images", "list", "--json"])
    taken = {image["name"]: image for image in json.loads(done.stdout)["upstream"]}
    assert sorted(taken) == ["alloy", "grafana", "loki", "prometheus"]
    assert all(image["digest"].startswith("sha256:") and image["here"] is None for image in taken.values())
    table = CliRunner().invoke(app, ["images", "list"], env={"COLUMNS": "250"}).stdout
    assert taken["loki"]["digest"] in table


@pytest.mark.parametrize(
    ("options", "registry"), [([], "docker.io"), (["--mirror", "mirror.example/hub"], "mirror.example/hub")]
)
def test_images_from_elsewhere_are_taken_by_digest(docker: Path, options: list[str], registry: str) -> None:
    program = docker.parent / "docker"
    program.write_text(DOCKER.replace("case", 'case $* in *--label*) read -r from; echo "$from";; esac\ncase', 1))
    program.write_text(program.read_text().replace('echo "$from"', 'echo "$from" >>"$(dirname "$0")/asked"'))
    done = CliRunner().invoke(app, ["images", "upstream", "loki", "--json", *options])
    assert done.exit_code == 0, done.output
    release = json.loads(done.stdout)["release"]
    asked = docker.read_text().splitlines()
    digest = load(ROOT).upstream["loki"].digest
    assert f"FROM {registry}/grafana/loki@{digest}" in asked
    (build,) = [line for line in asked if line.startswith("buildx build")]
    assert f"--tag flip/loki:{release} -" in build
    for label in ("image.title=flip/loki", f"image.version={release}", f"upstream=docker.io/grafana/loki@{digest}"):
        assert label in build


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (["upstream", "hub"], "hub: not taken from elsewhere; alloy, grafana, loki, prometheus are"),
        (["build", "loki"], "loki is not built but taken as it is: flipctl images upstream loki"),
    ],
)
def test_what_is_built_and_what_is_taken_are_told_apart(docker: Path, verb: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["images", *verb])
    assert done.exit_code == 1
    assert said in " ".join(done.stderr.split())
    assert not docker.exists()


def test_a_build_gives_certificates_as_a_secret_and_the_base_as_an_argument(docker: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("a certificate")
    options = ["--ca", str(ca), "--base", "mirror.example/debian@sha256:1", "--source", "https://git.example/flip"]
    done = CliRunner().invoke(app, ["images", "build", "hub", "--json", *options])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [row["name"] for row in document["built"]] == ["system", "tools", "code", "python", "hub"]
    assert document["built"][-1]["MB"] == 123.5
    builds = [line for line in docker.read_text().splitlines() if line.startswith("buildx build")]
    assert all(f"--secret id=ca,src={ca}" in line for line in builds)
    assert all("a certificate" not in line for line in builds)
    assert "--build-arg BASE_IMAGE=mirror.example/debian@sha256:1 " in builds[0]
    release = document["release"]
    assert f"--build-arg BASE_IMAGE=flip/part-python:{release} " in builds[-1]
    assert f"--build-arg CODE_IMAGE=flip/part-code:{release} " in builds[-1]
    assert "--build-arg EXTRAS=hub-api hub-aws " in builds[-1]
    assert "--build-arg SOURCE=https://git.example/flip " in builds[-1]
    assert "building hub (5/5)" in done.stderr


def test_the_torch_index_goes_to_the_part_with_torch_only(docker: Path) -> None:
    done = CliRunner().invoke(app, ["images", "build", "fl-client", "--torch-index", "https://torch.example/cu126"])
    assert done.exit_code == 0, done.output
    told = [line for line in docker.read_text().splitlines() if "TORCH_INDEX=https://torch.example/cu126" in line]
    assert len(told) == 1
    assert "images/apps/Dockerfile" in told[0]


def test_a_failed_build_ends_the_run_with_its_last_words(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_STATUS", "17")
    done = CliRunner().invoke(app, ["images", "build", "omop-db"])
    assert done.exit_code == 1
    assert "images/system/Dockerfile: the build failed with status 17" in done.stderr
    assert "no such package" in done.stderr


def test_wheels_are_in_the_wheelhouse_for_the_build_only(docker: Path, tmp_path: Path) -> None:
    program = docker.parent / "docker"
    program.write_text(DOCKER.replace("case", f"case $* in *system*) echo {ROOT}/images/wheelhouse/*.whl "
                                      '>>"$(dirname "$0")/asked";; esac\ncase', 1))  # fmt: skip
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "flip_test_only-1-py3-none-any.whl").write_bytes(b"")
    done = CliRunner().invoke(app, ["images", "build", "omop-db", "--wheels", str(wheels)])
    assert done.exit_code == 0, done.output
    assert "images/wheelhouse/flip_test_only-1-py3-none-any.whl" in docker.read_text()
    assert not list((ROOT / "images/wheelhouse").glob("flip_test_only*"))


def test_a_base_needs_mmdebstrap(docker: Path) -> None:
    done = CliRunner().invoke(app, ["images", "base"])
    assert done.exit_code == 1
    assert "apt-get install mmdebstrap" in done.stderr


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers /200 with 200, and so on."""
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


HEALTH = runpy.run_path(str(ROOT / "images/system/health.py"))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["{}/200"], 0), (["{}/503"], 1), (["{}/401"], 1), (["--accept", "401", "{}/401"], 0), (["{}/200", "{}/500"], 1)],
)
def test_health_by_url(
    url: str, arguments: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert HEALTH["main"]([word.format(url) for word in arguments]) == status
    assert (capsys.readouterr().out == "healthy") == (status == 0)


def test_health_of_a_closed_port_says_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert HEALTH["main"](["http://127.0.0.1:1/health"]) == 1
    assert "refused" in capsys.readouterr().out


def test_health_by_process(tmp_path: Path) -> None:
    for pid, words in (("1", "python\0-m\0flip_fl.flower.site\0"), ("2", "python\0-m\0"), ("3", "")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_text(words)
    assert HEALTH["running_modules"](tmp_path) == {"flip_fl.flower.site"}
    assert HEALTH["main"](["--process", "flip_fl.no_such_module"]) == 1


POSTGRES = runpy.run_path(str(ROOT / "images/omop-db/start.py"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--database", 'a"; DROP'], "lower-case letters"),
        (["--superuser", "A"], "lower-case letters"),
        ([], "No such file"),
    ],
)
def test_the_database_does_not_start_on_wrong_options(tmp_path: Path, arguments: list[str], text: str) -> None:
    base = ["--data", str(tmp_path), "--password-file", str(tmp_path / "password")]
    with pytest.raises(POSTGRES["StartError"], match=text):
        POSTGRES["main"]([*base, *arguments])
    assert not list(tmp_path.iterdir())


def test_a_short_password_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    with pytest.raises(POSTGRES["StartError"], match="16 characters") as caught:
        POSTGRES["main"](["--data", str(tmp_path), "--password-file", str(tmp_path / "password")])
    assert "hunter2" not in str(caught.value)


def test_scripts_of_the_images_may_be_run() -> None:
    for name in ("system/health.py", "omop-db/start.py", "tools/add", "tools/add-code"):
        assert os.access(ROOT / "images" / name, os.X_OK), name

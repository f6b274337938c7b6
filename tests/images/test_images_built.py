"""What the built images are made of. Needs Docker: run by `make hosts`."""

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flip_common.appcheck import SITE_PACKAGES
from flipctl.images_list import load

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3000)]

ROOT = Path(__file__).resolve().parents[2]
NAMES = list(load(ROOT).images)
PYTHON = [name for name in NAMES if name not in ("omop-db", "orthanc")]
TOOLS = re.compile(r"(^|/)(gcc|g\+\+|cc|c\+\+|clang|make|ld|as|pip3?|uvx?|git|curl|wget)(-[\d.]+)?$")
LEFT_OVER = re.compile(r"/(\.cache/pip|var/cache/apt/archives|var/lib/apt/lists)/|\.env$|\.flipkit$|/\.git/")
HEAD_BYTES = 20_000
SECRETS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")


def run(builds: Any, docker: Any, name: str, *command: str) -> str:
    options = ("--rm", "--read-only", "--network", "none", "--tmpfs", "/tmp", "--entrypoint", command[0])
    return str(docker("run", *options, builds.tag(name), *command[1:]).stdout)


@pytest.fixture(scope="session")
def docker() -> Any:
    import subprocess

    def call(*arguments: str) -> Any:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return call


def test_all_are_built_and_reported(builds: Any) -> None:
    assert set(NAMES) <= set(builds.report)
    lines = [
        f"{row['name']}: {row['MB']} MB, {row['layers']} layers, {row['seconds']} s" for row in builds.report.values()
    ]
    print("\n".join([*lines, f"all: {builds.seconds:.0f} s"]))


def test_services_share_their_layers(builds: Any, docker: Any) -> None:
    layers = {
        name: json.loads(docker("image", "inspect", builds.tag(name)).stdout)[0]["RootFS"]["Layers"]
        for name in [*NAMES, "system", "python", "apps"]
    }
    for name in NAMES:
        part = builds.images.images[name].on
        assert layers[name][: len(layers[part])] == layers[part]
        own = len(layers[name]) - len(layers[part])
        assert own <= 3, f"{name} adds {own} layers to {part}"


def test_a_second_build_comes_from_the_cache(builds: Any, docker: Any) -> None:
    """Not one layer is made anew."""

    def layers() -> dict[str, Any]:
        tags = [builds.tag(name) for name in [*builds.images.parts, *NAMES]]
        return {item["RepoTags"][0]: item["RootFS"] for item in json.loads(docker("image", "inspect", *tags).stdout)}

    before = layers()
    print(f"second build: {builds.again():.1f} s")
    assert layers() == before


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is(builds: Any, docker: Any, name: str) -> None:
    config = json.loads(docker("image", "inspect", builds.tag(name)).stdout)[0]["Config"]
    image = builds.images.images[name]
    assert config["User"] == f"{image.user}:{image.user}"
    assert config["Healthcheck"]["Test"] == ["CMD", *image.health]
    assert set(config.get("ExposedPorts") or {}) == {f"{port}/tcp" for port in image.ports}
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels["version"] == builds.release
    assert labels["revision"] not in ("", "unknown")
    assert labels["licenses"].startswith("Apache-2.0")


def _files(docker: Any, tags: list[str]) -> Iterator[tuple[str, bytes]]:
    """Path and beginning of every file of every layer, those that later layers hide included."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as saved:
        docker("save", "-o", saved.name, *tags)
        with tarfile.open(saved.name) as image:
            for member in image.getmembers():
                layer = image.extractfile(member) if member.name.endswith("layer.tar") else None
                if layer is None:
                    continue
                with tarfile.open(fileobj=layer) as files:
                    for info in files:
                        content = files.extractfile(info) if info.isfile() and info.size else None
                        if content is not None:
                            yield f"/{info.name.removeprefix('./')}", content.read(HEAD_BYTES)


def test_no_layer_holds_a_secret_a_tool_or_a_cache(builds: Any, docker: Any) -> None:
    wrong, seen = [], 0
    for path, head in _files(docker, [builds.tag(name) for name in NAMES]):
        seen += 1
        if TOOLS.search(path) and "/bin/" in path:
            wrong.append(f"tool {path}")
        if LEFT_OVER.search(path):
            wrong.append(f"leftover {path}")
        if SECRETS.search(head) and "/site-packages/" not in path:
            wrong.append(f"private key {path}")
    assert seen > 10_000
    assert not wrong


@pytest.mark.parametrize("name", NAMES)
def test_a_running_image_has_no_setuid_file_and_no_compiler(builds: Any, docker: Any, name: str) -> None:
    look = "import os, shutil, stat\n" + (
        "found = []\n"
        "for folder, _, names in os.walk('/'):\n"
        "    if folder.startswith(('/proc', '/sys', '/dev')): continue\n"
        "    for name in names:\n"
        "        info = os.lstat(os.path.join(folder, name))\n"
        "        if stat.S_ISREG(info.st_mode) and info.st_mode & 0o6000: found.append(os.path.join(folder, name))\n"
        "found += filter(None, map(shutil.which, 'gcc cc make ld pip pip3 uv git curl wget'.split()))\n"
        "print(os.getuid(), found)\n"
    )
    assert run(builds, docker, name, "python3", "-c", look).strip() == f"{builds.images.images[name].user} []"


@pytest.mark.parametrize("name", NAMES)
def test_the_history_tells_no_secret(builds: Any, docker: Any, name: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", builds.tag(name)).stdout
    assert not re.search(r"(?i)(password|token|secret|api_key)=\S", history)
    assert "BEGIN" not in history


@pytest.mark.parametrize("name", NAMES)
def test_the_certificates_of_the_build_stay_outside(builds: Any, docker: Any, name: str) -> None:
    """The bundle in the image is Debian's own, made from the package's files."""
    if "--ca" not in builds.options:
        pytest.skip("this machine builds without certificates of its own")
    given = Path(builds.options[builds.options.index("--ca") + 1]).read_text()
    inside = run(builds, docker, name, "cat", "/etc/ssl/certs/ca-certificates.crt")
    assert "BEGIN CERTIFICATE" in inside
    own = set(re.findall(r"-----BEGIN.*?END CERTIFICATE-----", given, re.DOTALL))
    debian = "".join(run(builds, docker, "omop-db", "sh", "-c", "cat /usr/share/ca-certificates/mozilla/*"))
    known = set(re.findall(r"-----BEGIN.*?END CERTIFICATE-----", debian, re.DOTALL))
    assert own - known, "the bundle given has nothing that Debian's has not, so this shows nothing"
    assert not (own - known) & set(re.findall(r"-----BEGIN.*?END CERTIFICATE-----", inside, re.DOTALL))


@pytest.mark.parametrize("name", PYTHON)
def test_every_package_is_pinned(builds: Any, docker: Any, name: str) -> None:
    script = "import importlib.metadata as m; print(*sorted({f'{d.name}=={d.version}' for d in m.distributions()}))"
    pins = {_normal(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    pins |= {f"flip-{part}=={builds.release}" for part in ("platform", "utils")}
    found = {_normal(package) for package in run(builds, docker, name, "python", "-c", script).split()}
    assert len(found) > 20
    assert found - pins == set()


def _normal(pin: str) -> str:
    """NAME==VERSION as resolvers write it: one name of a package, and no local part of its version."""
    name, version = pin.split("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version.split('+')[0]}"


def test_an_app_finds_every_package_without_a_network(builds: Any, docker: Any) -> None:
    names = [*SITE_PACKAGES, "sklearn", "monai"]
    script = f"import importlib, torch\nfor name in {names!r}: importlib.import_module(name)\n"
    script += "print(torch.ones(2).sum().item())"
    assert run(builds, docker, "fl-client", "python", "-W", "ignore", "-c", script).strip() == "2.0"


def test_a_wrong_env_file_ends_a_service_with_its_reason(builds: Any, docker: Any) -> None:
    import subprocess

    done = subprocess.run(
        ["docker", "run", "--rm", "--read-only", "--network", "none", builds.tag("hub")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "/config/service.env does not exist" in done.stderr
    assert io.StringIO(done.stderr).readline().startswith("env file")

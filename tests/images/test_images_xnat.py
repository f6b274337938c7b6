"""XNAT's image: refused without the operator's files, built of them, and started as on a host."""

import json
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flipctl.cli import app
from flipctl.images_list import load, tag, version

ROOT = Path(__file__).resolve().parents[2]
SUPPLIED = ROOT / "images/xnat-web/supplied"
# Where Tomcat and its JDK are, for the image's own steps: a server for the unpacked WAR's pages, and `jar`.
CATALINA = """#!/bin/bash
[ "$1" = run ] && case "$CATALINA_OPTS" in *-Dxnat.home=/data/home*) ;; *) exit 9;; esac
grep -q secret "$XNAT_HOME/config/xnat-conf.properties" || exit 8
test -f "$XNAT_HOME/plugins/dicom-query-retrieve-3.0.jar" || exit 7
touch "$CATALINA_HOME/work/compiled" "$CATALINA_HOME/logs/catalina.out" "$CATALINA_HOME/temp/x"
cd "$CATALINA_HOME/webapps/ROOT" && exec python3 -m http.server 8080
"""
BASE = """FROM flip/part-system:{release}
USER 0:0
ENV CATALINA_HOME=/usr/local/tomcat
RUN mkdir -p /usr/local/tomcat/bin /usr/local/tomcat/conf /usr/local/tomcat/webapps/examples && \
    printf '#!/bin/sh\\nexec python3 -m zipfile -e "$2" .\\n' >/usr/local/bin/jar && chmod 755 /usr/local/bin/jar
COPY --chmod=755 catalina.sh /usr/local/tomcat/bin/catalina.sh
"""


@pytest.fixture
def war(tmp_path: Path) -> Path:
    path = tmp_path / "xnat-web-1.10.0.war"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("WEB-INF/web.xml", "<web-app/>")
        archive.writestr("app/template/Login.vm", "sign in")
    return path


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "dicom-query-retrieve-3.0.jar").write_bytes(b"jar")
    return folder


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=check)


def flipctl(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["images", *arguments])


def test_it_is_not_built_with_the_others() -> None:
    done = flipctl("build", "xnat-web")
    assert done.exit_code == 1
    assert "xnat-web needs files of yours: flipctl images xnat --help says which" in done.stderr
    assert "xnat-web" not in load(ROOT).build_order([])


def test_without_a_war_it_is_refused(plugins: Path) -> None:
    done = flipctl("xnat", "--plugins", str(plugins))
    assert done.exit_code == 2
    assert "--war" in done.stderr


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_war_is_refused(plugins: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.war"
    path.write_bytes(content)
    done = flipctl("xnat", "--war", str(path), "--plugins", str(plugins))
    assert done.exit_code == 1
    assert "is no web archive" in done.stderr


def test_without_the_plugin_that_imports_need_it_is_refused(war: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    done = flipctl("xnat", "--war", str(war), "--plugins", str(tmp_path / "other"))
    assert done.exit_code == 1
    assert "holds no dicom-query-retrieve-VERSION.jar" in done.stderr


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """An image with the form of a Tomcat's."""
    folder, name = tmp_path / "base", "flip-test-tomcat:x"
    folder.mkdir()
    (folder / "Dockerfile").write_text(BASE.format(release=version(ROOT)))
    (folder / "catalina.sh").write_text(CATALINA)
    docker("buildx", "build", "--builder", "default", "-q", "-t", name, str(folder))
    yield name
    docker("image", "rm", "-f", name)


@pytest.mark.docker
@pytest.mark.timeout(600)
def test_it_is_built_of_them_and_starts_read_only(base: str, war: Path, plugins: Path, tmp_path: Path) -> None:
    kept = tag(load(ROOT), "xnat-web", version(ROOT))
    before = docker("image", "inspect", "-f", "{{.Id}}", kept, check=False)
    done = flipctl("xnat", "--war", str(war), "--plugins", str(plugins), "--base", base, "--json")
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in SUPPLIED.iterdir()] == [".gitignore"]
    built, name = json.loads(done.stdout)["built"][0]["tag"], "flip-test-xnat"
    docker("tag", built, "flip-test-xnat:x")
    if before.returncode == 0:  # the stand-in under this tag, perhaps, which others use
        docker("tag", before.stdout.strip(), kept)
    config, data = tmp_path / "config", tmp_path / "data"
    config.mkdir()
    data.mkdir()
    data.chmod(0o777)
    options = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--network", "none", "-v", f"{data}:/data"]
    refused = docker("run", "--rm", *options, "flip-test-xnat:x", check=False)
    assert (refused.returncode, "xnat-conf.properties is not there" in refused.stderr) == (2, True)
    (config / "xnat-conf.properties").write_text("secret")
    options += ["-v", f"{config}:/config:ro", "-d", "--name", name]
    try:
        docker("run", *options, "flip-test-xnat:x")
        deadline = time.monotonic() + 60
        while docker("exec", name, "flip-xnat", "health", check=False).returncode:
            logs = docker("logs", name, check=False)
            assert time.monotonic() < deadline, logs.stderr
            time.sleep(0.5)
        assert (data / "home/config/prefs-init.ini").exists()
    finally:
        docker("rm", "-f", name)
        docker("image", "rm", "-f", "flip-test-xnat:x")

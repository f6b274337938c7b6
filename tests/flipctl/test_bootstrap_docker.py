"""Docker for the tests: root on a distribution we know gets what is missing, everybody else is told."""

import os
from pathlib import Path

import pytest

from flipctl import bootstrap

PROGRAMS = ("docker", "dockerd", "debootstrap", "mmdebstrap")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder in which programs are found; `docker` knows compose, and no buildx."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setattr(bootstrap, "SYSTEM_PATH", str(tmp_path))
    for name in PROGRAMS:
        (tmp_path / name).write_text('#!/bin/sh\ntest "$1" = compose\n')
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_what_is_missing_is_found(programs: Path) -> None:
    assert bootstrap.lacking() == ["buildx"]
    (programs / "debootstrap").unlink()
    assert bootstrap.lacking() == ["debootstrap", "buildx"]


@pytest.mark.parametrize("release", ["bookworm", "trixie", "jammy", "noble"])
def test_root_gets_it(programs: Path, release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def apt(packages: list[str]) -> None:
        ran.extend(packages)
        if release != "bookworm":
            (programs / "docker").write_text("#!/bin/sh\n")

    def run(*command: str) -> None:
        ran.extend(command)
        (programs / "docker").write_text("#!/bin/sh\n")

    monkeypatch.setattr(bootstrap, "can_apt", lambda: True)
    monkeypatch.setattr(bootstrap.platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": release})
    monkeypatch.setattr(bootstrap, "apt_install", apt)
    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.install_docker()
    assert "docker.io" in ran
    assert "docker-buildx" in ran
    assert (bootstrap.PLUGINS_OF_DEBIAN_13 in ran) is (release == "bookworm")
    ran.clear()
    bootstrap.install_docker()
    assert ran == [], "all is there"


@pytest.mark.parametrize(("root", "release"), [(False, "bookworm"), (True, "sid")])
def test_others_are_told(programs: Path, root: bool, release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "can_apt", lambda: root)
    monkeypatch.setattr(bootstrap.platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": release})
    with pytest.raises(bootstrap.SetupError, match="install buildx first; root on bookworm, trixie, jammy, noble gets"):
        bootstrap.install_docker()

"""What is loaded, what is removed, and whether there is room."""

import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
from ansible_tree import python

engine = python("flip_images", "module_utils/flip_image_engine.py")


def _image(number: int, *tags: str) -> dict[str, Any]:
    return {"id": f"sha256:{number}", "tags": list(tags), "layers": [f"sha256:{number}{number}"], "created": "2026"}


def _archive(path: str, *images: dict[str, Any], size: int = 1) -> dict[str, Any]:
    return {"path": path, "size": size, "bytes": size, "images": list(images)}


def _present(number: int, **changed: Any) -> dict[str, Any]:
    return {"Id": f"sha256:{number}", "RootFS": {"Layers": [f"sha256:{number}{number}"]}, "Created": "2026"} | changed


ALPHA = _archive("a.tar", _image(1, "flip/alpha:1"), _image(2, "flip/beta:1"))
GAMMA = _archive("g.tar", _image(3, "flip/gamma:1"))
ALL = ["flip/alpha:1", "flip/beta:1", "flip/gamma:1"]


@pytest.mark.parametrize(
    ("images", "paths"),
    [
        ({}, ["a.tar", "g.tar"]),
        ({"flip/alpha:1": _present(1)}, ["a.tar", "g.tar"]),
        ({"flip/alpha:1": _present(1), "flip/beta:1": _present(2)}, ["g.tar"]),
        ({"flip/alpha:1": _present(1), "flip/beta:1": _present(9), "flip/gamma:1": _present(3)}, ["a.tar"]),
        ({"flip/alpha:1": _present(1), "flip/beta:1": _present(2), "flip/gamma:1": _present(3)}, []),
    ],
)
def test_an_archive_is_loaded_when_one_of_its_images_lacks_or_differs(images: dict[str, Any], paths: list[str]) -> None:
    needed, missing = engine.plan(ALL, [ALPHA, GAMMA], images)
    assert [archive["path"] for archive in needed] == paths
    assert missing == []


def test_an_archive_of_images_that_nobody_wants_is_left_alone() -> None:
    needed, _ = engine.plan(["flip/gamma:1"], [ALPHA, GAMMA], {})
    assert needed == [GAMMA]


def test_what_neither_host_nor_archive_has_is_missing() -> None:
    _, missing = engine.plan([*ALL, "flip/delta:1"], [ALPHA], {"flip/gamma:1": _present(7)})
    assert missing == ["flip/delta:1"], "gamma is there, wherever it came from"


def test_an_engine_that_names_images_by_another_digest_is_understood() -> None:
    image = _image(1)
    assert engine.same(image, _present(1, Created="told otherwise")), "the id says all"
    assert engine.same(image, _present(1, Id="sha256:of-the-manifest"))
    assert not engine.same(image, _present(1, Id="sha256:of-the-manifest", Created="2027"))
    assert not engine.same(image, _present(2))
    assert not engine.same(image, None)


def test_two_archives_that_contradict_one_another_are_named() -> None:
    other = _archive("b.tar", _image(5, "flip/beta:1"))
    assert engine.contradictions([ALPHA, other]) == ["flip/beta:1 is one image in a.tar and another in b.tar"]
    assert engine.contradictions([ALPHA, GAMMA, _archive("c.tar", _image(1, "flip/alpha:1"))]) == []


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_images_of_an_engine_with_containerds_store_lie_elsewhere() -> None:
    older = {"DockerRootDir": "/srv/docker", "DriverStatus": [["Backing Filesystem", "extfs"]]}
    newer = {"DockerRootDir": "/srv/docker", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}
    assert [engine.keeps_images(info) for info in (older, {**older, "DriverStatus": None})] == ["/srv/docker"] * 2
    assert engine.keeps_images(newer) == "/var/lib/containerd"


def test_room_is_asked_for(tmp_path: Path) -> None:
    free = _free(tmp_path)
    small, half = _archive("a.tar", size=1000), _archive("b.tar", size=int(free * 0.4))
    root, folder = str(tmp_path), str(tmp_path / "not" / "yet")
    assert engine.shortage([], root) == ""
    assert engine.shortage([small, small], root) == ""
    assert engine.shortage([half], root) == ""
    assert f"{root} has " in engine.shortage([half, half], root), "the largest is unpacked aside"
    assert f"{root} has " in engine.shortage([half], root, folder), "the copy lies on the same disk"


def _on_engine(number: int, *tags: str, digests: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"Id": f"sha256:{number}", "RepoTags": list(tags), "RepoDigests": list(digests)}


def _gone(images: list[dict[str, Any]], used: tuple[str, ...] = ()) -> list[str]:
    names: list[str] = engine.superfluous(images, ["flip", "mirror/flip"], {"2", "1"}, set(used))
    return names


def test_releases_that_stay_stay() -> None:
    assert _gone([_on_engine(1, "flip/alpha:2"), _on_engine(2, "flip/alpha:1"), _on_engine(3, "flip/alpha:0")]) == [
        "flip/alpha:0"
    ]


def test_what_is_not_ours_stays() -> None:
    images = [_on_engine(1, "other/alpha:0"), _on_engine(2, "flipper/alpha:0"), {**_on_engine(3), "RepoTags": None}]
    images.append(_on_engine(4, digests=("mirror/flip/alpha@sha256:5",)))  # of no release that is known
    assert _gone(images) == []


def test_what_a_container_uses_stays() -> None:
    images = [_on_engine(1, "flip/alpha:0"), _on_engine(2, "flip/beta:0")]
    assert _gone(images, used=("sha256:1",)) == ["flip/beta:0"]


def test_an_old_name_of_an_image_that_stays_goes_without_its_digest() -> None:
    image = _on_engine(1, "flip/alpha:0", "flip/alpha:2", digests=("mirror/flip/alpha@sha256:5",))
    assert _gone([image]) == ["flip/alpha:0"]


def test_digests_go_with_the_last_name_and_before_it() -> None:
    image = _on_engine(1, "flip/alpha:0", "mirror/flip/alpha:0", digests=("mirror/flip/alpha@sha256:5",))
    assert _gone([image]) == ["mirror/flip/alpha@sha256:5", "flip/alpha:0", "mirror/flip/alpha:0"]


class Module:
    """As much of an Ansible module as the engine needs."""

    def run_command(self, command: list[str], data: str | None = None) -> tuple[int, str, str]:
        done = subprocess.run(command, input=data, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def fail_json(self, msg: str) -> NoReturn:
        raise AssertionError(msg)


@pytest.mark.parametrize(("status", "problem"), [(0, ""), (1, "failed to extract layer")])
def test_an_image_is_tried_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, problem: str
) -> None:
    """An engine whose container is a file; Docker 29 itself is in the role's scenario on Ubuntu 24.04."""
    (tmp_path / "left").touch()  # by a run that was interrupted
    docker = tmp_path / "docker"
    docker.write_text(
        f"""#!/bin/sh
cd {tmp_path}
case $1 in
  ps) if [ -e left ]; then echo 1234; fi ;;
  rm) rm left ;;
  create) if [ -e left ]; then echo 'the name is taken' >&2; exit 1; fi
    touch left; if [ {status} -eq 1 ]; then rm left; echo '{problem}' >&2; fi; exit {status} ;;
esac
"""
    )
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert engine.Engine(Module()).unusable("flip/alpha:2.0") == problem
    assert not (tmp_path / "left").exists()

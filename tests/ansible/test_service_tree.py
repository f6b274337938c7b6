"""Folders and files that roles bring on a real disk: brought to what is wanted, whatever was there."""

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_tree import ROOT, imported

tree = imported(ROOT / "ansible/module_utils/flip_tree.py")


def _place(path: Path, mode: str, **more: str) -> dict[str, Any]:
    return {"path": str(path), "owner": os.getuid(), "group": os.getgid(), "mode": mode, **more}


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Any]:
    """A service with one container that reads one secret."""
    root = tmp_path / "config" / "omop"
    return {
        "folders": [_place(root, "0755"), _place(root / "db", "0755"), _place(tmp_path / "data", "0700")],
        "files": [_place(root / "compose.yml", "0644", content="a: 1\n"), _place(root / "db/key", "0400", content="k")],
        "only": [str(root / "db")],
    }


def _bring(wanted: dict[str, Any], *, change: bool = True) -> list[str]:
    found: list[str] = tree.bring(**wanted, change=change)
    return found


def _state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")
    }


def test_it_is_made_once(wanted: dict[str, Any], tmp_path: Path) -> None:
    said = _bring(wanted, change=False)
    assert not list(tmp_path.iterdir()), "only said"
    assert _bring(wanted) == said
    assert len(said) == 5
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"config": 0o755, "omop": 0o755, "db": 0o755, "data": 0o700, "compose.yml": 0o644, "key": 0o400}
    assert _bring(wanted) == _bring(wanted, change=False) == []


def _leftover(folder: Path) -> None:
    (folder / ".key.new").write_text("half")


def _strange(folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "file").touch()


def _link(folder: Path) -> None:
    (folder / "key").symlink_to((folder / "key").replace(folder.parents[2] / "elsewhere"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda folder: (folder / "key").unlink(), "key is written"),
        (lambda folder: (folder / "key").write_text("another"), "key is written"),
        (lambda folder: (folder / "key").chmod(0o444), "key is written"),
        (lambda folder: folder.chmod(0o700), "db is made or put right"),
        (_strange, "old is removed"),
        (_link, "key is written"),
    ],
)
def test_what_was_changed_is_put_right(wanted: dict[str, Any], tmp_path: Path, change: Any, named: str) -> None:
    _bring(wanted)
    before = _state(tmp_path)
    change(tmp_path / "config/omop/db")
    changed = _state(tmp_path)
    said = _bring(wanted, change=False)
    assert _state(tmp_path) == changed
    assert len(said) == 1
    assert named in said[0]
    assert _bring(wanted) == said
    (tmp_path / "elsewhere").unlink(missing_ok=True)
    assert _state(tmp_path) == before


def test_what_an_interrupted_run_left_is_gone(wanted: dict[str, Any], tmp_path: Path) -> None:
    _bring(wanted)
    before = _state(tmp_path)
    _leftover(tmp_path / "config/omop/db")
    (tmp_path / "config/omop/.compose.yml.new").write_text("half")
    _bring(wanted)
    assert _state(tmp_path) == before


def test_a_secret_is_never_readable_meanwhile(
    wanted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor half written: its name appears when it is complete."""
    seen = []
    own = tree.own

    def owned(path: Path, place: dict[str, Any]) -> None:
        if path.is_file():
            seen.append((path.name, path.stat().st_mode & 0o777, ""))
        own(path, place)

    def replace(new: Path, path: Path) -> None:
        seen.append((new.name, new.stat().st_mode & 0o777, new.read_text()))
        os.replace(new, path)

    old = os.umask(0)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(tree, "own", owned)
    try:
        _bring(wanted)
    finally:
        os.umask(old)
    assert seen[2:] == [(".key.new", 0o600, ""), (".key.new", 0o400, "k")]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_it_gets_its_owner_and_group(wanted: dict[str, Any], tmp_path: Path) -> None:
    wanted["files"][1] |= {"owner": 10002, "group": 10003}
    _bring(wanted)
    about = (tmp_path / "config/omop/db/key").stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o7777) == (10002, 10003, 0o400)
    os.chown(tmp_path / "config/omop/db/key", 0, 0)
    assert len(_bring(wanted)) == 1
    assert (tmp_path / "config/omop/db/key").stat().st_uid == 10002


def test_a_link_to_a_folder_of_another_disk_is_followed(wanted: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o755)
    (tmp_path / "data").symlink_to("disk")
    _bring(wanted)
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "disk").stat().st_mode & 0o777 == 0o700
    assert _bring(wanted) == []


@pytest.mark.parametrize("place", ["config/omop/db", "config/omop/compose.yml", "data"])
def test_what_is_in_the_way_is_named_and_kept(wanted: dict[str, Any], tmp_path: Path, place: str) -> None:
    _bring(wanted)
    path = tmp_path / place
    tree.remove(path)
    path.mkdir() if place.endswith("yml") else path.symlink_to("/nowhere")
    with pytest.raises(tree.TreeError, match=f"{path} is in the way"):
        _bring(wanted)
    assert os.path.lexists(path)


def test_owners_by_name(wanted: dict[str, Any]) -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    named = [{**place, "owner": user, "group": group} for place in wanted["folders"]]
    tree.bring(named, [], [], change=True)
    assert tree.bring(wanted["folders"], [], [], change=False) == [], "the same as by number"
    for kind in ("owner", "group"):
        with pytest.raises(tree.TreeError, match=f"no {kind} nobody-here"):
            tree.bring([{**named[0], kind: "nobody-here"}], [], [], change=False)


@pytest.mark.parametrize("mode", ["457", "u=rwx", "", "0889"])
def test_a_mode_that_is_none_makes_nothing(mode: str, tmp_path: Path) -> None:
    with pytest.raises(tree.TreeError, match="four octal digits"):
        tree.bring([_place(tmp_path / "new", mode)], [], [], change=True)
    assert not (tmp_path / "new").exists()

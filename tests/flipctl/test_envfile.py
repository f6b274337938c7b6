"""Env files with secrets."""

import os
import stat
from pathlib import Path

import pytest

from flipctl import envfile


def test_update_keeps_other_lines_and_is_the_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "hub.env"
    envfile.update(path, {"A": "1", "B": '{"x": "y z"}'})
    envfile.update(path, {"A": "2"})
    assert envfile.read(path) == {"A": "2", "B": '{"x": "y z"}'}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_values_with_dollars_are_not_expanded(tmp_path: Path) -> None:
    envfile.update(tmp_path / "e", {"A": "${HOME}", "B": "#no comment"})
    assert envfile.read(tmp_path / "e") == {"A": "${HOME}", "B": "#no comment"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("a b", "1"), ("lower", "1"), ("A", "x\ny"), ("A", "x\ry"), ("A", "it's"), ("A", "x\\"), ("A", "\\\\x")],
)
def test_what_would_not_read_back_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"variable name|line break"):
        envfile.update(tmp_path / "e", {name: value})
    assert not (tmp_path / "e").exists()


def test_a_kept_value_that_would_not_read_back_stops_the_update(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('PASSWORD="it\'s"\nOTHER=1\n')
    with pytest.raises(ValueError, match="PASSWORD"):
        envfile.update(path, {"A": "1"})
    assert envfile.read(path) == {"PASSWORD": "it's", "OTHER": "1"}


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e"
    envfile.update(path, {"A": "1"})

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        envfile.update(path, {"A": "2"})
    assert envfile.read(path) == {"A": "1"}
    assert [item.name for item in tmp_path.iterdir()] == ["e"]


def test_a_line_without_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("A=1\nBROKEN\n")
    with pytest.raises(ValueError, match="BROKEN"):
        envfile.read(tmp_path / "e")

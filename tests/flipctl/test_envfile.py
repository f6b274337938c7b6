"""Env files with secrets."""

import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flip_common.settings import ServiceSettings
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


class Settings(ServiceSettings):
    some_value: str = "unset"


one_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")) | st.text(
    st.sampled_from("'\"\\${}# \tA=`\u00a0\u2028\x85")
)


@example("${HOME}")
@example("it's \\' a \"test\" # of $HOME \\")
@example(" leading and trailing ")
@given(one_line)
def test_every_line_of_text_reads_back_as_it_is(value: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "e"
        envfile.update(path, {"SOME_VALUE": value, "OTHER": "kept"})
        envfile.update(path, {"OTHER": "2"})
        assert envfile.read(path) == {"SOME_VALUE": value, "OTHER": "2"}
        envfile.update(path, {"OTHER": ""})
        path.write_text("\n".join(path.read_text(encoding="utf-8").split("\n")[:1]), encoding="utf-8")
        # As the services read it; an empty value counts as not set there.
        assert Settings.load(path).some_value == (value or "unset")


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "1"), ("lower", "1"), ("A", "x\ny"), ("A", "x\ry"), ("A", "x\0"), ("A", "\ud800")]
)
def test_what_would_not_read_back_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"variable name|line break|surrogates"):
        envfile.update(tmp_path / "e", {name: value})
    assert list(tmp_path.iterdir()) == []


def test_a_kept_value_of_several_lines_stops_the_update(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('CERTIFICATE="a\nb"\nOTHER=1\n')
    with pytest.raises(ValueError, match="CERTIFICATE"):
        envfile.update(path, {"A": "1"})
    assert envfile.read(path) == {"CERTIFICATE": "a\nb", "OTHER": "1"}


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

"""Apps as they arrive: what is read, and which run-config comes of it."""

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flip_common.wire import JobSpec
from flip_fl import apps
from flip_fl.apps import declared_config, read_app, run_config
from flip_fl.backend import JobRefusedError

TOML = """
[tool.flwr.app.config]
flip-model-id = ""
flip-project-id = ""
flip-cohort-query = ""
lr = 0.1
rounds = 3
loud = false
[tool.flwr.app.config.net]
width = 8
"""


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    """A zip with these members, names as given."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and text of the refusal."""
    with pytest.raises(JobRefusedError) as caught:
        call()
    return caught.value.code, str(caught.value)


def test_files_are_read_and_rubbish_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", ("app/", b""), ("app/a.py", b"1"), ("__MACOSX/x", b"2"), ("./b.toml", b"3"))
    assert read_app(path) == {"app/a.py": b"1", "b.toml": b"3"}


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "app/../../x", "a\\b.py", "C:/x", "a\n.py"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    code, text = refused(lambda: read_app(write(tmp_path / "a.zip", (name, b""))))
    assert code == "app_invalid"
    assert "only plain files" in text


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("app/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert refused(lambda: read_app(write(tmp_path / "a.zip", (link, b"/etc/passwd"))))[0] == "app_invalid"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", ("app/a.py", b"1"), ("app/A.py", b"2"))
    assert "two files named" in refused(lambda: read_app(path))[1]


def test_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"no zip")
    assert refused(lambda: read_app(path))[0] == "app_invalid"


def test_limits_hold_also_when_the_zip_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "MAX_UNPACKED_BYTES", 1000)
    monkeypatch.setattr(apps, "MAX_FILES", 3)
    assert len(read_app(write(tmp_path / "a.zip", ("a", b"0" * 500), ("b", b"0" * 500)))) == 2
    assert refused(lambda: read_app(write(tmp_path / "b.zip", ("a", b"0" * 1001))))[0] == "app_too_large"
    many = write(tmp_path / "c.zip", *((f"f{number}", b"") for number in range(4)))
    assert refused(lambda: read_app(many))[0] == "app_too_large"
    honest = write(tmp_path / "d.zip", ("a", b"0" * 5000)).read_bytes()
    lying = honest.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != honest
    (tmp_path / "e.zip").write_bytes(lying)
    assert refused(lambda: read_app(tmp_path / "e.zip"))[0] in ("app_too_large", "app_invalid")


def test_declared_keys_are_flat() -> None:
    declared = declared_config({"pyproject.toml": TOML.encode()})
    assert declared["net.width"] == 8
    assert declared["lr"] == 0.1


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no pyproject.toml"),
        ({"pyproject.toml": b"[project]"}, "no [tool.flwr.app]"),
        ({"pyproject.toml": b"tool = 3"}, "no [tool.flwr.app]"),
        ({"pyproject.toml": b"=="}, "pyproject.toml:"),
        ({"pyproject.toml": b"\xff"}, "pyproject.toml:"),
        ({"pyproject.toml": b"[tool.flwr.app]\nconfig = 3"}, "no table"),
        ({"pyproject.toml": b"[tool.flwr.app.config]\na = [1]"}, "a is neither"),
    ],
)
def test_an_app_without_a_readable_declaration_is_refused(files: dict[str, bytes], words: str) -> None:
    code, text = refused(lambda: declared_config(files))
    assert code == "app_invalid"
    assert words in text


def test_run_config_is_typed_and_layered(make_spec: Callable[..., JobSpec]) -> None:
    files = {"pyproject.toml": TOML.encode(), "config.toml": b"rounds = 5\nlr = 2\nnet.width = 16"}
    spec = make_spec(b"", run_config={"rounds": 7, "loud": True})
    config = run_config(files, spec)
    assert config["rounds"] == 7
    assert config["lr"] == 2.0
    assert type(config["lr"]) is float
    assert config["net.width"] == 16
    assert config["loud"] is True
    assert config["flip-model-id"] == str(spec.model_id)
    assert config["flip-cohort-query"] == spec.cohort_query


def test_the_platforms_keys_win(make_spec: Callable[..., JobSpec]) -> None:
    spec = make_spec(b"", run_config={"flip-cohort-query": "SELECT 1"})
    assert run_config({"pyproject.toml": TOML.encode()}, spec)["flip-cohort-query"] == spec.cohort_query


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rounds": True}, "rounds is a boolean, declared as integer"),
        ({"rounds": 1.5}, "rounds is a float, declared as integer"),
        ({"loud": 1}, "loud is a integer, declared as boolean"),
        ({"lr": "fast"}, "lr is a string, declared as float"),
        ({"flip-model-id": 3, "rounds": "3"}, "rounds is a string, declared as integer"),
    ],
)
def test_wrong_types_are_named(make_spec: Callable[..., JobSpec], given: dict[str, Any], words: str) -> None:
    spec = make_spec(b"", run_config=given)
    code, text = refused(lambda: run_config({"pyproject.toml": TOML.encode()}, spec))
    assert (code, words in text) == ("run_config_type", True)


def test_undeclared_keys_are_named_with_the_line_to_add(make_spec: Callable[..., JobSpec]) -> None:
    files = {"pyproject.toml": b"[tool.flwr.app.config]\nflip-model-id = ''", "config.toml": b"depth = 2"}
    code, text = refused(lambda: run_config(files, make_spec(b"", run_config={"x": True})))
    assert code == "run_config_undeclared"
    assert 'depth = 0, flip-cohort-query = "", flip-project-id = "", x = false' in text


def test_a_zip_in_memory_is_not_written(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app/a.py", b"1")
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    read_app(path)
    assert list(tmp_path.iterdir()) == [path]

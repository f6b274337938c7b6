"""Apps as they arrive: what is read, and which run-config comes of it."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flip_common.wire import JobSpec
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


def test_files_are_read_and_the_folder_around_them_is_taken_off(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip", ("mine/app/a.py", b"1"), ("__MACOSX/x", b"2"), ("mine/pyproject.toml", b"3"))
    assert read_app(path) == {"app/a.py": b"1", "pyproject.toml": b"3"}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_safe_to_unpack_is_refused_by_name(tmp_path: Path) -> None:
    """The rules themselves are those of `flip_common.appcheck`, and are tested there."""
    code, text = refused(lambda: read_app(write(tmp_path / "a.zip", ("../evil.py", b"1"))))
    assert (code, "../evil.py" in text) == ("app_invalid", True)
    (tmp_path / "b.zip").write_bytes(b"no zip")
    assert refused(lambda: read_app(tmp_path / "b.zip"))[0] == "app_invalid"


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


def test_how_many_sites_take_part_is_told_where_the_app_asks(make_spec: Callable[..., JobSpec]) -> None:
    asking = {"pyproject.toml": f"{TOML.replace('lr = 0.1', 'lr = 0.1' + chr(10) + 'flip-min-clients = 2')}".encode()}
    spec = make_spec(b"", trusts=["Trust_A"])
    assert run_config(asking, spec)["flip-min-clients"] == 1
    assert "flip-min-clients" not in run_config({"pyproject.toml": TOML.encode()}, spec)

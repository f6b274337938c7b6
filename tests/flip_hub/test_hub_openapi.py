"""The OpenAPI document in docs/ is the one the code makes."""

import json
from pathlib import Path

from typer.testing import CliRunner

from flip_hub.__main__ import app

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_document_is_current() -> None:
    printed = CliRunner().invoke(app, ["openapi"])
    assert printed.exit_code == 0
    assert json.loads(printed.stdout) == json.loads(DOCUMENT.read_text()), "run: make openapi"


def test_it_can_be_written_to_a_file(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["openapi", "--output", str(tmp_path / "o.json")]).exit_code == 0
    assert (tmp_path / "o.json").read_text() == DOCUMENT.read_text()


def test_every_operation_says_what_it_does() -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    silent = [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method, operation in operations.items()
        if not operation.get("description")
    ]
    assert silent == []

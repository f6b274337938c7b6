"""`flipctl app check`."""

import json
from pathlib import Path

from typer.testing import CliRunner

from flip_common.appcheck import build_zip
from flipctl.app_check import app

TUTORIALS = Path(__file__).parents[2] / "tutorials"
runner = CliRunner()


def test_a_good_app_is_told_so(tmp_path: Path) -> None:
    done = runner.invoke(app, ["check", str(TUTORIALS / "brain_segmentation")])
    assert done.exit_code == 0
    assert "0 errors, 0 warnings" in done.output
    (tmp_path / "app.zip").write_bytes(build_zip(TUTORIALS / "tabular"))
    assert runner.invoke(app, ["check", str(tmp_path / "app.zip")]).exit_code == 0


def test_errors_have_their_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "x.py").write_text("\ndef (\n")
    done = runner.invoke(app, ["check", str(tmp_path)])
    assert done.exit_code == 1
    assert "app/x.py:2: error: " in done.output
    report = json.loads(runner.invoke(app, ["check", str(tmp_path), "--json"]).output)
    assert report["ok"] is False
    assert {finding["code"] for finding in report["findings"]} >= {"syntax-error", "no-pyproject"}


def test_help_has_an_example() -> None:
    done = runner.invoke(app, ["check", "--help"])
    assert "Example: flipctl app check" in done.output

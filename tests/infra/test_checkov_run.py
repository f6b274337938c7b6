"""`make lint-infra`: what is left out of its checks is left out with a reason. checkov itself is run by that target."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("checkov_run", ROOT / "infra/checkov/run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_skip_of_the_stacks_says_why(run: Any) -> None:
    assert run.unexplained(run.STACKS) == []


@pytest.mark.parametrize(
    "comment", ["#checkov:skip=CKV_AWS_18", "#checkov:skip=CKV_AWS_18:", "#checkov:skip=CKV_AWS_18: no"]
)
def test_a_skip_without_a_reason_is_told_and_fails(run: Any, tmp_path: Path, comment: str) -> None:
    (tmp_path / "main.tf").write_text(f'resource "terraform_data" "a" {{\n  {comment}\n}}\n')
    (told,) = run.unexplained(tmp_path)
    assert "main.tf:2: say why" in told
    assert run.check(tmp_path) is False

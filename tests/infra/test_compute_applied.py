"""Module compute applied: a second plan is empty, an upgrade changes what it should, destroy leaves nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from compute_world import stack

from flipctl.hub.tofu import Plan, program

ROOT = Path(__file__).resolve().parents[2]


class Stack:
    """The world and the module in a folder."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder / "stacks/it", env
        shutil.copytree(ROOT / "infra/tofu/modules", folder / "modules")
        self.folder.mkdir(parents=True)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [program(), *arguments], cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def plan(self, digit: str) -> tuple[tuple[str, str], ...]:
        document = stack("../../modules/compute", digit * 64)
        (self.folder / "main.tf.json").write_text(json.dumps(document))
        if not (self.folder / ".terraform").exists():
            self.run("init")
        self.run("plan", "-out=plan", "-parallelism=30")
        return Plan.of(json.loads(self.run("show", "-json", "plan"))).changes


@pytest.fixture(scope="module")
def applied(tofu_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """With the digest of zeros."""
    made = Stack(tmp_path_factory.mktemp("compute"), tofu_env)
    assert made.plan("0")
    made.run("apply", "-parallelism=30", "plan")
    return made


def test_a_second_plan_is_empty(applied: Stack) -> None:
    assert applied.plan("0") == ()


def test_an_upgrade_changes_task_definitions_and_what_points_to_them(applied: Stack) -> None:
    assert sorted(applied.plan("1")) == [
        ("module.compute.aws_ecs_service.hub", "update"),
        ('module.compute.aws_ecs_service.net["net1"]', "update"),
        ("module.compute.aws_ecs_task_definition.hub", "replace"),
        ('module.compute.aws_ecs_task_definition.net["net1"]', "replace"),
    ]
    applied.run("apply", "-parallelism=30", "plan")
    assert applied.plan("1") == ()
    applied.plan("0")  # and back
    applied.run("apply", "-parallelism=30", "plan")
    assert applied.plan("0") == ()


def test_destroy_leaves_nothing(applied: Stack) -> None:
    applied.run("destroy", "-auto-approve", "-parallelism=30")
    assert json.loads(applied.run("state", "pull"))["resources"] == []

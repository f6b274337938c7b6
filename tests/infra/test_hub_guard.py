"""What `flipctl hub` refuses to destroy, and what it lets go on; OpenTofu is a script that answers what it is told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flipctl.cli import app
from flipctl.hub import HubError
from flipctl.hub.environment import SOURCES, Environment
from flipctl.hub.stack import Stack
from flipctl.hub.tofu import Tofu

STACKS = SOURCES / "stacks"
SCRIPT = """#!/bin/sh
case "$1" in
plan) tee flip.tfplan < plan.json ;;
apply) touch applied ;;
state) cat state.json ;;
esac
"""


def _program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "program"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("FLIP_TOFU", str(program))


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack in a folder whose state.json and plan.json are the state and what planning says."""
    _program(tmp_path, monkeypatch)
    (tmp_path / "plan.json").touch()
    return Stack(Environment("trial", tmp_path), Tofu(tmp_path, lambda line: None))


def _state(stack: Stack, disposable: bool | None, **attributes: Any) -> None:
    """A state with one bucket in it."""
    bucket = {"mode": "managed", "type": "aws_s3_bucket", "name": "b", "instances": [{"attributes": attributes}]}
    outputs = {} if disposable is None else {"disposable": {"value": disposable}}
    (stack.tofu.folder / "state.json").write_text(json.dumps({"outputs": outputs, "resources": [bucket]}))


def test_what_is_not_disposable_is_not_destroyed(stack: Stack) -> None:
    _state(stack, disposable=False, force_destroy=True)
    with pytest.raises(HubError, match="not applied as disposable"):
        stack.plan_destruction()


def test_a_destruction_that_was_interrupted_is_gone_on_with(stack: Stack) -> None:
    """Its first act took the outputs from the state, so they do not say any more that it was allowed."""
    _state(stack, disposable=None, force_destroy=True)
    stack.plan_destruction()
    _state(stack, disposable=None, force_destroy=False)
    with pytest.raises(HubError, match="not applied as disposable"):
        stack.plan_destruction()


@pytest.mark.parametrize("action", ["delete", "replace"])
def test_logs_are_lost_only_by_name(stack: Stack, action: str) -> None:
    """Without execute_command the record of what was done in shells would go, and nobody was asked."""
    _state(stack, disposable=False)
    shell = "module.compute.aws_cloudwatch_log_group.shell"
    change = {"resource": {"addr": shell, "resource_type": "aws_cloudwatch_log_group"}, "action": action}
    (stack.tofu.folder / "plan.json").write_text(json.dumps({"type": "planned_change", "change": change}))
    with pytest.raises(HubError, match="would lose what cannot be made again"):
        stack.plan()
    assert stack.plan(frozenset({shell})).changes
    with pytest.raises(HubError, match="--lose other: the plan would not lose this"):
        stack.plan(frozenset({shell, "other"}))


@pytest.mark.parametrize(("typed", "gone"), [("prod", False), ("trial", True)])
def test_a_destruction_asks_for_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, gone: bool
) -> None:
    sources = tmp_path / "sources"
    (sources / "modules").mkdir(parents=True)
    folder = sources / "stacks/hub"
    folder.mkdir(parents=True)
    _program(tmp_path, monkeypatch)
    monkeypatch.setattr("flipctl.hub.environment.SOURCES", sources)
    (tmp_path / "work/trial").mkdir(parents=True)
    (tmp_path / "work/trial/backend.tfbackend").touch()
    (folder / "trial.tfvars").touch()
    (folder / "plan.json").touch()
    bucket = {"mode": "managed", "type": "aws_s3_bucket", "name": "b", "instances": []}
    (folder / "state.json").write_text(json.dumps({"outputs": {"disposable": {"value": True}}, "resources": [bucket]}))
    done = CliRunner().invoke(app, ["hub", "destroy", "trial", "--folder", str(tmp_path / "work")], input=f"{typed}\n")
    assert (done.exit_code == 0) is gone
    assert ("nothing was destroyed" in done.output) is not gone
    assert (tmp_path / "work/trial/tofu/stacks/hub/applied").exists() is gone


def test_a_plan_that_another_run_made_meanwhile_is_not_applied(stack: Stack) -> None:
    """While one run asks whether to apply, another in the same folder may plan a destruction."""
    _state(stack, disposable=True)
    asked = stack.plan()
    (stack.tofu.folder / "plan.json").write_text('{"type": "version"}')
    other = stack.plan_destruction()
    with pytest.raises(HubError, match="another run has planned in"):
        stack.tofu.apply(asked)
    assert not (stack.tofu.folder / "applied").exists()
    stack.tofu.apply(other)
    assert (stack.tofu.folder / "applied").exists()


def test_a_state_that_could_not_be_written_is_put_in_its_place_first(stack: Stack) -> None:
    """Without it the next run would make anew what is there, and nobody would know of the other."""
    _state(stack, disposable=True)
    left = stack.tofu.folder / "errored.tfstate"
    left.write_text("{}")
    for planned in (stack.plan, stack.plan_destruction):
        with pytest.raises(HubError, match=r"state push errored\.tfstate"):
            planned()
    left.unlink()
    stack.plan()


def test_a_look_shows_what_an_apply_would_do_after_an_interrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds data and was being made stays, and so does what hangs on it; the state is left as it is."""
    monkeypatch.setattr("flipctl.hub.stack.HOLDS_DATA", frozenset({"terraform_data"}))
    folder = tmp_path / "stacks/trial"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(
        'resource "terraform_data" "data" {\n  for_each = toset(["a"])\n}\n'
        'resource "terraform_data" "user" {\n  triggers_replace = terraform_data.data["a"].id\n}\n'
    )
    tofu = Tofu(folder, lambda line: None)
    tofu.init()
    tofu.apply(tofu.plan())
    tofu.run("taint", 'terraform_data.data["a"]', color=None)
    before = tofu.state()
    assert Stack(Environment("trial", tmp_path), tofu).look().changes == ()
    assert tofu.state() == before
    assert [*folder.parent.iterdir()] == [folder]
    assert tofu.plan().counts == {"replace": 2}


def test_what_a_release_before_had_is_in_no_working_copy(tmp_path: Path) -> None:
    """Such as a page, which would be published on and on; what OpenTofu keeps there stays."""
    place = Environment("trial", tmp_path)
    values = tmp_path / "values"
    values.touch()
    copy = place.working_copy("hub", values)
    kept = [copy / ".terraform/terraform.tfstate", copy / ".terraform.lock.hcl", copy / "errored.tfstate"]
    old = [
        copy / "old.tf",
        copy / "old.tofu",
        copy / "pages/old.html",
        copy / "pages/deep/old.html",
        copy / "../../modules/old/old.json",
    ]
    for path in (*kept, *old):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert place.working_copy("hub", values) == copy
    assert [path for path in (*kept, *old) if path.exists()] == kept
    assert (copy / "pages/index.html").exists()


@pytest.mark.usefixtures("stack")
def test_a_hosts_stack_is_planned_with_a_state_of_its_own(tmp_path: Path) -> None:
    """By the verbs for the hub; what reaches the program says so."""
    program = tmp_path / "program"
    script = SCRIPT.replace('case "$1"', f'echo "$@" >> {tmp_path}/told\ncase "$1"')
    program.write_text(script.replace("plan.json", "/dev/null").replace("state.json", "/dev/null"))
    (tmp_path / "stag").mkdir()
    (tmp_path / "stag/backend.tfbackend").write_text("")
    for name in ("dashboard", "trust_ec2"):
        values = STACKS / name / "example.tfvars"
        arguments = [
            "hub",
            "plan",
            "stag",
            "--stack",
            name,
            "--values",
            str(values),
            "--folder",
            str(tmp_path),
            "--json",
        ]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert f"-backend-config=key=stag/{name}.tfstate" in (tmp_path / "told").read_text()


@pytest.mark.parametrize("verb", ["apply", "destroy"])
def test_the_bootstrap_has_verbs_of_its_own(verb: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["hub", verb, "stag", "--stack", "bootstrap", "--folder", str(tmp_path)])
    assert done.exit_code != 0
    assert "made by `flipctl hub bootstrap`" in " ".join(done.output.split())


def test_of_two_verbs_in_one_folder_the_second_is_told_to_wait(tmp_path: Path) -> None:
    values = tmp_path / "trial.tfvars"
    values.touch()
    place = Environment.named("trial", tmp_path)
    again = [sys.executable, "-c", "import sys; from flipctl.cli import main; main()"]
    again += ["hub", "plan", "trial", "--stack", "trust_ec2", "--values", str(values), "--folder", str(tmp_path)]
    copy = place.working_copy("hub", values)
    (copy / "main.tf").write_text("as it is while it is applied")
    place.backend_file.touch()
    second = subprocess.run(again, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"another `flipctl hub` works with trial in {tmp_path}" in " ".join(second.stderr.split())
    assert (copy / "main.tf").read_text() == "as it is while it is applied"
    assert place.working_copy("hub", values) == copy, "one process may do several things"

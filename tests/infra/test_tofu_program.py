"""How the program is found, what an error shows, and that the stand-in's mends are needed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flipctl.hub import HubError
from flipctl.hub.tofu import Change, Plan, Tofu, program

ROOT = Path(__file__).resolve().parents[2]


def _program(folder: Path, name: str, text: str = "exit 1") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_tofu_comes_first_then_terraform_then_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLIP_TOFU", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HubError, match=r"https://opentofu\.org/docs/intro/install/"):
        program()
    terraform = _program(tmp_path, "terraform")
    assert program() == str(terraform)
    tofu = _program(tmp_path, "tofu")
    assert program() == str(tofu)
    named = _program(tmp_path / "elsewhere", "mine")
    monkeypatch.setenv("FLIP_TOFU", str(named))
    assert program() == str(named)
    monkeypatch.setenv("FLIP_TOFU", "nothing")
    with pytest.raises(HubError, match="FLIP_TOFU names nothing"):
        program()


def test_an_error_shows_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaky = _program(tmp_path, "leaky", 'echo "refused: $AWS_SECRET_ACCESS_KEY" >&2; exit 1')
    monkeypatch.setenv("FLIP_TOFU", str(leaky))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    with pytest.raises(HubError, match=r"refused: \(AWS_SECRET_ACCESS_KEY\)"):
        Tofu(tmp_path, print).init()


SLOW = """
resource "terraform_data" "first" {
  provisioner "local-exec" {
    command = "touch begun; sleep 2"
  }
}

resource "terraform_data" "second" {
  depends_on = [terraform_data.first]
}
"""


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_a_run_that_is_terminated_writes_its_state(tmp_path: Path, signals: list[signal.Signals]) -> None:
    """As when a CI job is cancelled: what was made by then is in the state, nothing more is made, no lock stays."""
    (tmp_path / "main.tf").write_text(SLOW)
    apply = "import sys; from pathlib import Path; from flipctl.hub.tofu import Tofu"
    apply += "; tofu = Tofu(Path(sys.argv[1]), print); tofu.init(); tofu.apply(tofu.plan())"
    with subprocess.Popen([sys.executable, "-c", apply, str(tmp_path)], stderr=subprocess.PIPE) as run:
        for _ in range(600):
            if (tmp_path / "begun").exists():
                break
            assert run.poll() is None
            time.sleep(0.1)
        for number in signals:
            run.send_signal(number)
            time.sleep(0.3)
        run.communicate(timeout=60)
    assert run.returncode
    state = json.loads((tmp_path / "terraform.tfstate").read_text())
    assert [entry["name"] for entry in state["resources"]] == ["first"]
    assert not list(tmp_path.glob(".*.lock.info"))


def test_a_plan_counts_what_changes() -> None:
    def change(address: str, kind: str, action: str) -> dict[str, object]:
        return {
            "type": "planned_change",
            "change": {"resource": {"addr": address, "resource_type": kind}, "action": action},
        }

    plan = Plan.of(
        [
            {"type": "version"},
            change("a", "x", "create"),
            change("b", "x", "move"),
            change("c", "y", "read"),
            change("d", "x", "replace"),
            change("e", "y", "create"),
            {"type": "resource_drift", "change": change("f", "x", "update")["change"]},
        ]
    )
    assert plan.changes == (Change("a", "x", "create"), Change("d", "x", "replace"), Change("e", "y", "create"))
    assert plan.counts == {"create": 2, "replace": 1}


def test_a_plan_that_fails_says_why_as_the_program_words_it(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('resource "terraform_data" "one" {\n  input = var.size\n}\n')
    with pytest.raises(HubError) as error:
        Tofu(tmp_path, lambda line: None).plan()
    told = str(error.value)
    assert "Error: Reference to undeclared input variable\n  on main.tf line 2\n\n" in told
    assert '"@level"' not in told


def test_files_have_the_one_format(tofu_env: dict[str, str]) -> None:
    done = subprocess.run(
        [program(), "fmt", "-check", "-diff", "-recursive", str(ROOT / "infra")],
        env=tofu_env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

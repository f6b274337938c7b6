"""Checks the stacks and modules with checkov, which finds what is open, unencrypted or unlogged: `make lint-infra`.

    python3 infra/checkov/run.py

What is left out stands beside the resource as `#checkov:skip=ID:reason`. Standard library only: it makes its own
virtual environment in .venv-checkov. Nothing but packages is asked of the network.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STACKS = ROOT / "infra/tofu"
VENV = ROOT / ".venv-checkov"
PINS = Path(__file__).with_name("requirements.txt")
SKIP = re.compile(r"checkov:skip(?!=CKV2?_[A-Z0-9_]+:\s*\S+ \S+)")


def set_up() -> None:
    """Makes .venv-checkov anew whenever the pins have changed."""
    stamp = VENV / "pins.sha256"
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    # All that is needed is pinned, and most of it never runs: neither resolved nor compiled, it takes a third less.
    command = [str(VENV / "bin/pip"), "install", "--quiet", "--no-deps", "--no-compile", "--requirement", str(PINS)]
    subprocess.run(command, check=True)
    stamp.write_text(wanted)


def unexplained(folder: Path) -> list[str]:
    """Lines that leave a check out and do not say why."""
    return [
        f"{path}:{number}: say why: {line.strip()}"
        for path in sorted(folder.rglob("*.tf"))
        if ".terraform" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SKIP.search(line)
    ]


def check(folder: Path) -> bool:
    """Whether nothing is wrong; what is, is printed."""
    if found := unexplained(folder):
        sys.stderr.write("\n".join(found) + "\n")
        return False
    set_up()
    # The last option keeps it from asking its maker's site for more rules.
    command = [str(VENV / "bin/checkov"), "-d", str(folder), "--framework", "terraform", "--compact", "--quiet"]
    done = subprocess.run([*command, "--skip-download"], stdout=subprocess.PIPE, text=True, check=False)
    # What it did not look at is not well: it has to have found resources.
    passed = re.search(r"^Passed checks: [1-9]", done.stdout, re.MULTILINE)
    print("\n".join(line for line in done.stdout.splitlines() if line.strip()))  # noqa: T201 - what it is run for
    return done.returncode == 0 and passed is not None


if __name__ == "__main__":
    sys.exit(0 if check(Path(sys.argv[1]) if len(sys.argv) > 1 else STACKS) else 1)

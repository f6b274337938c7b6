"""Resolves `constraints.txt` anew: exact versions of everything that is tested together.

Run as `make lock` after a bound in pyproject.toml changed. Uses uv's resolver, which flwr brings along.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAD = "# Exact versions of everything that is tested together. Made by: make lock\n"
# Pinned by hand: resolvers that cannot see a local wheel would fetch gigabytes to learn PyTorch's metadata; and what
# both PyTorch and image builds take, which no requirement here names.
BY_HAND = ("monai==1.6.1", "setuptools==84.2.1", "torch==2.13.0")
TORCH_NEEDS = ("filelock", "fsspec", "jinja2", "mpmath<1.4", "networkx", "sympy")


def requirements() -> list[str]:
    """Every requirement of the distribution and all its extras, but those pinned by hand and ourselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [item for items in project["optional-dependencies"].values() for item in items]
    sdk = tomllib.loads((ROOT / "services/flip/pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {*project["dependencies"], *extras, *sdk, *TORCH_NEEDS}
    return sorted(item for item in wanted if not item.startswith(("flip-platform", "monai", "torch")))


def main() -> int:
    """Writes constraints.txt; returns the resolver's exit status."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as file:
        file.write("\n".join(requirements()) + "\n")
        file.flush()
        command = ["uv", "pip", "compile", file.name, "--python-version", "3.11", "--no-annotate", "--no-header"]
        done = subprocess.run(
            [Path(sys.executable).parent / command[0], *command[1:]], capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.stderr.write(done.stderr)
        return done.returncode
    (ROOT / "constraints.txt").write_text(HEAD + done.stdout + "".join(f"{line}\n" for line in BY_HAND))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Programs that the tests of roles run for real."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_tree import Promtool


@pytest.fixture
def promtool() -> Promtool:
    """`promtool("check", "rules", file)`: what it says, once it is content."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI lacks promtool: apt-get install prometheus")
        pytest.skip("promtool is not here: apt-get install prometheus")

    def run(*arguments: str | Path, text: str | None = None) -> str:
        command = ["promtool", *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run

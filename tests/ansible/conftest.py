"""Programs that the tests of roles run for real, and the roles' modules without Ansible."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from ansible_tree import Library, Promtool, python
from backup_host import Host, make_host


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


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """`library("flip_service", "flip_compose")`: that module of the role; Ansible itself is not needed."""
    for name in ("ansible", "ansible.module_utils", "ansible.module_utils.basic"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["ansible.module_utils.basic"].AnsibleModule = None  # type: ignore[attr-defined]
    return lambda role, name: python(role, f"library/{name}.py")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a bit of everything, to be backed up."""
    return make_host(tmp_path)

#!/usr/bin/python3
"""Merges options into /etc/docker/daemon.json and remembers what it put there."""

import json
import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_daemon_json import ConflictError, merge

DOCUMENTATION = r"""
module: flip_docker_daemon
short_description: Merges options into Docker's daemon.json without changing the operator's own
description: >-
  Returns C(restart), true as long as a running engine has not been restarted with these options. That is kept beside
  the file, so an interrupted run is finished by the next one.
options:
  options:
    description: What daemon.json must hold.
    type: dict
    required: true
  applied:
    description: Whether the engine runs with these options now, so that no restart is due any more.
    type: bool
    default: false
  owner:
    description: >-
      Whose options these are. Each owner's are remembered in a file of their own, so that one role does not take back
      what another one put there.
    type: str
    default: ""
  path:
    description: The file.
    type: path
    default: /etc/docker/daemon.json
author: FLIP
"""


def read(module, path):
    """A JSON object; {} where there is no file."""
    if not path.exists() or not path.read_text(encoding="utf-8").strip():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        module.fail_json(msg=f"{path} is not JSON ({error}): mend it, and see that `systemctl restart docker` works")
    if not isinstance(content, dict):
        module.fail_json(msg=f"{path} holds no JSON object: mend it")
    return content


def text(content):
    """As it stands in the file; the operator's order is kept."""
    return json.dumps(content, indent=2) + "\n" if content else ""


def write(path, content):
    """Replaces the file in one step, so that a crash leaves the old one."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).chmod(mode)
    Path(name).replace(path)


def main():
    """Merge, write, remember."""
    module = AnsibleModule(
        argument_spec={
            "options": {"type": "dict", "required": True},
            "applied": {"type": "bool", "default": False},
            "owner": {"type": "str", "default": ""},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    owner = module.params["owner"]
    memory = path.with_name(f"flip-daemon-{owner}.json" if owner else "flip-daemon.json")
    current, remembered = read(module, path), read(module, memory)
    try:
        merged = merge(current, module.params["options"], remembered.get("options", {}))
    except ConflictError as error:
        where = f"the variables of role flip_{owner}" if owner else "flip_docker_daemon_options"
        module.fail_json(
            msg=f"{path} conflicts with what FLIP needs: {error}. Remedy: take the key out of {path}, or give FLIP "
            f"that value in {where}"
        )
    file_changes = merged != current
    due = file_changes or remembered.get("restart", False)
    restart = due and not module.params["applied"]
    state = {"options": module.params["options"], "restart": restart}
    changed = file_changes or state != remembered
    if changed and not module.check_mode:
        write(memory, text(state))  # first: whatever follows, the next run knows that a restart is due
        if file_changes:
            write(path, text(merged))
    module.exit_json(
        changed=changed,
        restart=restart,
        diff={"before_header": str(path), "after_header": str(path), "before": text(current), "after": text(merged)},
    )


if __name__ == "__main__":
    main()

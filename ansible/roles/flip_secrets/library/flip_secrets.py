#!/usr/bin/python3
"""Secrets that only this host needs: made once, kept in files of root's."""

import os
import re
import secrets
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_secrets
short_description: Makes secrets that are not there yet and returns them
description: >-
  Returns C(values), the secrets by name. Use it with C(no_log). In check mode a secret that is not there reads
  C(not-made-yet).
options:
  names: {description: Names of the secrets., type: list, elements: str, required: true}
  folder: {description: Folder of the files (0700)., type: path, default: /opt/flip/config/secrets}
author: FLIP
"""
FORM = re.compile(r"[A-Za-z0-9_.~-]{16,256}")


def make(folder, name):
    """A new secret in its file, whole or not at all."""
    handle, scrap = tempfile.mkstemp(dir=folder, prefix=".new.")  # 0600 from its first moment
    value = secrets.token_hex(24)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{value}\n")
        file.flush()
        os.fsync(file.fileno())
    Path(scrap).rename(folder / name)
    return value


def main():
    """Read what is there, make what is not."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "folder": {"type": "path", "default": "/opt/flip/config/secrets"},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["folder"])
    changed, values = False, {}
    if not folder.is_dir() or folder.stat().st_mode & 0o777 != 0o700:
        changed = True
        if not module.check_mode:
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
    for name in module.params["names"]:
        path = folder / name
        if path.exists():
            values[name] = path.read_text(encoding="ascii").removesuffix("\n")
            if not FORM.fullmatch(values[name]):
                module.fail_json(
                    msg=f"{path} holds no usable secret: one line of 16 to 256 letters, digits and _.~- is needed. "
                    "Restore it from a backup; if what it opens is not set up yet, remove it, and a new one is made"
                )
        else:
            changed = True
            values[name] = "not-made-yet" if module.check_mode else make(folder, name)
    module.exit_json(changed=changed, values=values)


if __name__ == "__main__":
    main()

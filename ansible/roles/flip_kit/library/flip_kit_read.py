#!/usr/bin/python3
"""What lies in an opened kit's folder, in one call."""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_kit_read
short_description: Reads files of an opened kit
description: Returns C(files), the text of each file that is there by its name. A task with it has C(no_log).
options:
  folder: {description: Where the kit lies., type: path, required: true}
  names: {description: Files that may be there., type: list, elements: str, required: true}
author: FLIP
"""


def main():
    """Read."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    paths = [Path(module.params["folder"], name) for name in module.params["names"]]
    module.exit_json(files={path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()})


if __name__ == "__main__":
    main()

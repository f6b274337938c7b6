#!/usr/bin/python3
"""The Ansible module around `flip_checks`."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_checks import every, table

DOCUMENTATION = r"""
module: flip_preflight_checks
short_description: Says what a host lacks before FLIP is put on it
description: Only reads. The options are those of the role, without its prefix. Returns C(rows) and C(table).
options: {}
author: FLIP
"""


def main():
    """Runs every check and returns all rows; it is the role that fails."""
    module = AnsibleModule(
        argument_spec={
            "systems": {"type": "dict", "required": True},
            "disk_gib": {"type": "dict", "required": True},
            "memory_gib": {"type": "float", "required": True},
            "gpu": {"type": "bool", "required": True},
            "gpu_driver": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "compose_file": {"type": "bool", "required": True},
            "files": {"type": "list", "elements": "path", "required": True},
            "hub_url": {"type": "str", "required": True},
            "hub_ca": {"type": "str", "required": True},
            "clock_seconds": {"type": "int", "required": True},
            "fl_server": {"type": "str", "required": True},
            "proxy": {"type": "str", "required": True, "no_log": True},
            "kit_file": {"type": "str", "required": True},
            "kit": {"type": "dict", "required": True},
            "trust": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    rows = every(module.params)
    module.exit_json(changed=False, rows=rows, table=table(rows))


if __name__ == "__main__":
    main()

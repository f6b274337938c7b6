#!/usr/bin/python3
"""Folders and files, all in one call: a task for each would take most of the time of a playbook."""

import difflib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_tree import TreeError, bring

DOCUMENTATION = r"""
module: flip_tree
short_description: Brings folders and files to their owner, mode and content
description: >-
  Returns C(differences), what was not as wanted, and C(missing), the files that were not there. A task whose files are
  secret has C(no_log); what the module says when it fails names paths alone.
options:
  folders:
    description: Folders, made in this order.
    type: list
    elements: dict
    default: []
    options:
      path: {description: Where., type: path, required: true}
      owner: {description: Number or name of the user., type: str, required: true}
      group: {description: Number or name of the group., type: str, required: true}
      mode: {description: "Mode, octal in quotes.", type: str, required: true}
  files:
    description: Files.
    type: list
    elements: dict
    default: []
    options:
      path: {description: Where., type: path, required: true}
      content: {description: What it holds., type: str, required: true}
      owner: {description: Number or name of the user., type: str, default: root}
      group: {description: Number or name of the group., type: str, default: root}
      mode: {description: "Mode, octal in quotes.", type: str, default: "0644"}
  only:
    description: Folders in which nothing lies but these files; the rest is removed.
    type: list
    elements: path
    default: []
author: FLIP
"""
FOLDER = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "mode": {"type": "str", "required": True},
}
FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
}


def diff(wanted):
    """How a file changes."""
    path = Path(wanted["path"])
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = (text.splitlines(keepends=True) for text in (before, wanted["content"]))
    return {"prepared": "".join(difflib.unified_diff(*lines, fromfile=f"{path} before", tofile=f"{path} after"))}


def main():
    """Compare, and bring."""
    module = AnsibleModule(
        argument_spec={
            "folders": {"type": "list", "elements": "dict", "default": [], "options": FOLDER},
            "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
            "only": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        shown = [diff(wanted) for wanted in given["files"]]
        missing = [wanted["path"] for wanted in given["files"] if not Path(wanted["path"]).exists()]
        found = bring(given["folders"], given["files"], given["only"], change=not module.check_mode)
    except (TreeError, OSError) as error:
        module.fail_json(msg=f"{error}")
    diffs = [part for part in shown if part["prepared"]]
    module.exit_json(changed=bool(found), differences=found, missing=missing, diff=diffs)


if __name__ == "__main__":
    main()

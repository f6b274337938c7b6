#!/usr/bin/python3
"""Removes images of releases that nobody needs any more."""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_image_engine import Engine, superfluous

DOCUMENTATION = r"""
module: flip_images_clean
short_description: Removes images of releases that are not to stay and that no container uses
description: Returns C(removed), the references.
options:
  prefixes: {description: What our repositories begin with., type: list, elements: str, required: true}
  releases: {description: Releases that stay., type: list, elements: str, required: true}
author: FLIP
"""


def main():
    """Look, remove."""
    module = AnsibleModule(
        argument_spec={
            "prefixes": {"type": "list", "elements": "str", "required": True},
            "releases": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not module.get_bin_path("docker"):
        module.exit_json(changed=False, removed=[])  # a bare host
    engine = Engine(module)
    listed = sorted(set(engine.run("image", "ls", "--quiet", "--no-trunc").split()))
    images = json.loads(engine.run("image", "inspect", *listed)) if listed else []
    containers = engine.run("ps", "--all", "--quiet", "--no-trunc").split()
    used = {container["Image"] for container in json.loads(engine.run("inspect", *containers))} if containers else set()
    removed = superfluous(images, module.params["prefixes"], set(module.params["releases"]), used)
    for name in removed if not module.check_mode else ():
        if engine.image(name):  # an engine that leaves images to containerd takes tags along with their digest
            engine.run("image", "rm", name)
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Loads the archives that hold an image which this host lacks, and no others."""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_image_archive import REMEDY
from ansible.module_utils.flip_image_engine import Engine, contradictions, plan, same, shortage

DOCUMENTATION = r"""
module: flip_images_load
short_description: Sees that images are on the host, from archives where they are not
description: >-
  Compares ids, so nothing is loaded twice. Returns C(needed), paths of the archives that are loaded, or have to be in
  check mode and with C(only_plan).
options:
  wanted: {description: References of the images., type: list, elements: str, required: true}
  archives:
    description: What flip_images_archives returned; not given in check mode where it could not read.
    type: list
    elements: dict
  folder: {description: Where on this host the archives lie; by default where their path says., type: path}
  only_plan: {description: Whether to look only., type: bool, default: false}
  remedy: {description: What to do where an image is missing., type: str, required: true}
author: FLIP
"""


def main():
    """Look, ask for room, load, compare."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "list", "elements": "str", "required": True},
            "archives": {"type": "list", "elements": "dict"},
            "folder": {"type": "path"},
            "only_plan": {"type": "bool", "default": False},
            "remedy": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    wanted, archives = module.params["wanted"], module.params["archives"]
    if module.check_mode and (archives is None or not module.get_bin_path("docker")):
        needed = [archive["path"] for archive in archives or []]
        module.exit_json(changed=bool(needed), needed=needed)  # a bare host: every archive will be loaded
    if problems := contradictions(archives):
        module.fail_json(msg=f"flip_images_files: {'; '.join(problems)}; name one file of each release")
    engine = Engine(module)
    root = engine.folder()
    if not module.check_mode:
        engine.forget_probe()
    needed, missing = plan(wanted, archives, {name: engine.image(name) for name in wanted})
    if missing:
        held = sorted(tag for archive in archives for image in archive["images"] for tag in image["tags"])
        there = f" The archives hold {', '.join(held)}." if held else ""
        module.fail_json(msg=f"Images missing on this host: {', '.join(missing)}.{there} {module.params['remedy']}")
    only_plan = module.params["only_plan"]
    if problem := shortage(needed, root, module.params["folder"] if only_plan else None):
        names = ", ".join(archive["path"] for archive in needed)
        module.fail_json(
            msg=f"No room to load {names}: {problem}. Remove what this host does not need "
            "(flip_images_keep_releases removes old releases), or give Docker a larger disk"
        )
    if not (module.check_mode or only_plan):
        for archive in needed:
            load(module, engine, archive)
    module.exit_json(changed=bool(needed) and not only_plan, needed=[archive["path"] for archive in needed])


def load(module, engine, archive):
    """Loads one archive, and sees that its images are there afterwards."""
    path, folder = archive["path"], module.params["folder"]
    engine.load(os.path.join(folder, os.path.basename(path)) if folder else path, REMEDY)
    for image in archive["images"]:
        for tag in image["tags"]:
            if not same(image, engine.image(tag)):
                module.fail_json(msg=f"{tag} was loaded from {path}, but the engine has another image; {REMEDY}")
            if problem := engine.unusable(tag):
                engine.run("image", "rm", tag)  # or the next run would take it for good
                module.fail_json(msg=f"{tag} was loaded from {path}, and cannot be used: {problem}; {REMEDY}")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Reads image archives: which images they hold, and that they are whole."""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_image_archive import ArchiveError, read

DOCUMENTATION = r"""
module: flip_images_archives
short_description: Reads what docker save archives hold, .tar or .tar.zst, and refuses damaged ones
description: >-
  Returns C(archives), a list of path, bytes (unpacked) and images (id, tags, layers, created); in check mode on a host
  that has no zstd yet none.
options:
  paths: {description: The archives., type: list, elements: path, required: true}
author: FLIP
"""


def main():
    """Read one after the other."""
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "required": True}}, supports_check_mode=True
    )
    paths = module.params["paths"]
    packed = any(path.endswith(".zst") for path in paths)
    zstd = module.get_bin_path("zstd") if packed else None
    if packed and zstd is None:
        if module.check_mode:
            module.exit_json(changed=False, archives=None)  # a bare host: role flip_base has not brought it
        module.fail_json(msg="zstd is not installed, which .tar.zst files need; role flip_base brings it")
    try:
        module.exit_json(changed=False, archives=[read(path, zstd) for path in paths])
    except ArchiveError as error:
        module.fail_json(msg=f"Image archive {error}")


if __name__ == "__main__":
    main()

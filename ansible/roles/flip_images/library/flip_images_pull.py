#!/usr/bin/python3
"""Pulls images that this host lacks from a registry and gives them the name other roles know them by."""

import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_image_engine import Engine

DOCUMENTATION = r"""
module: flip_images_pull
short_description: Pulls images that are not there, by digest where one is given
description: >-
  An image that is there under its name, and with the digest where one is given, is not pulled. The login lasts for this
  module only. Returns C(pulled), what was pulled or has to be.
options:
  names: {description: Names of the images, without prefix and tag., type: list, elements: str, required: true}
  release: {description: The tag., type: str, required: true}
  prefix: {description: What stands before a name on this host., type: str, required: true}
  source: {description: What stands before a name in the registry; begins with its address., type: str, required: true}
  digests: {description: Digest in the registry by name of the image., type: dict, default: {}}
  username: {description: Whom to log in as., type: str}
  password: {description: The password., type: str}
author: FLIP
"""


def main():
    """Look, log in, pull, name, compare."""
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "release": {"type": "str", "required": True},
            "prefix": {"type": "str", "required": True},
            "source": {"type": "str", "required": True},
            "digests": {"type": "dict", "default": {}},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
        },
        required_together=[("username", "password")],
        supports_check_mode=True,
    )
    images = [image(module.params, name) for name in module.params["names"]]
    if module.check_mode and not module.get_bin_path("docker"):
        module.exit_json(changed=True, pulled=[each["source"] for each in images])  # a bare host
    engine = Engine(module)
    engine.folder()
    missing = [each for each in images if not is_there(engine, each)]
    if missing and not module.check_mode:
        # In memory, and gone with this block: else Docker would keep the password in root's home.
        with tempfile.TemporaryDirectory(dir="/run", prefix="flip-images-") as folder:
            pull(module, engine, missing, ("--config", folder))
    module.exit_json(changed=bool(missing), pulled=[each["source"] for each in missing])


def image(wanted, name):
    """An image's name here, and what to ask the registry for; by digest where one is given."""
    repository, digest = f"{wanted['source']}/{name}", wanted["digests"].get(name)
    return {
        "name": f"{wanted['prefix']}/{name}:{wanted['release']}",
        "source": f"{repository}@{digest}" if digest else f"{repository}:{wanted['release']}",
        "digest": digest,
    }


def is_there(engine, wanted):
    """Whether the host has the image under its name, and it is the one of the digest."""
    present = engine.image(wanted["name"])
    if present is None:
        return False
    return not wanted["digest"] or wanted["source"] in (present["RepoDigests"] or [])


def pull(module, engine, missing, options):
    """Pulls under a login of its own."""
    host, username = module.params["source"].partition("/")[0], module.params["username"]
    if username:
        engine.run(
            *("login", "--username", username, "--password-stdin", host),
            options=options,
            data=module.params["password"],
            hint="see flip_images_registry_username and flip_images_registry_password",
        )
    hint = (
        f"see that {host} has it and lets {username or 'anyone'} read it, that the firewall lets this host reach it "
        "(flip_firewall_outbound), and that its CA is known here (flip_images_registry_ca)"
    )
    for wanted in missing:
        name, source = wanted["name"], wanted["source"]
        engine.run("pull", "--quiet", source, options=options, hint=hint)
        pulled = engine.image(source)
        if source != name:
            engine.run("tag", source, name)
        if not is_there(engine, wanted) or engine.image(name)["Id"] != pulled["Id"]:
            module.fail_json(msg=f"{name} is not the image that was pulled as {source}; look at `docker image ls`")


if __name__ == "__main__":
    main()

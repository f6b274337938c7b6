#!/usr/bin/python3
"""Opens a kit with `flipctl kit open`, in a container that can do nothing else."""

import json
import os
import shutil
import stat
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_kit_endpoints import differences

DOCUMENTATION = r"""
module: flip_kit_open
short_description: Opens a kit into its folder, by flipctl in a container without network
description: >-
  Flipctl opens the kit into a copy of the folder in memory first. Whatever it refuses fails with its reason, and so do
  endpoints that are not the inventory's; then nothing was changed. In check mode that is all; where Docker or the image
  is not there yet, a change is reported.
options:
  image: {description: An image that holds flipctl., type: str, required: true}
  kit: {description: The kit file's text; or give C(kit_file)., type: str}
  kit_file: {description: The kit file on this host., type: path}
  trust: {description: Name of the trust., type: str, required: true}
  signed_by: {description: Fingerprint of the hub's signing key., type: str, required: true}
  identity: {description: Private key that opens it; or give C(identity_file)., type: str}
  identity_file: {description: That key in a file on this host., type: path}
  passphrase: {description: Passphrase of kit or key., type: str}
  allow_older: {description: Whether an older kit than the one there is taken., type: bool, default: false}
  hub_url: {description: The hub's API that the kit must name; empty for any., type: str, default: ""}
  fl_server: {description: The FL server that the kit must name; empty for any., type: str, default: ""}
  folder: {description: The kit's folder., type: path, default: /opt/flip/kit}
author: FLIP
"""
# In memory, for as long as this runs; the next run removes what a killed one left.
SCRATCH = Path("/run/flip-kit")
COPY = SCRATCH / "tree"
INSIDE = "/run/kit"
# What flipctl does is done as root, whose the folder is, with nothing that root may otherwise do.
CONTAINER = (
    *("run", "--rm", "--pull", "never", "--network", "none", "--user", "0:0", "--read-only"),
    *("--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),  # noqa: S108 - in the container
)


def write(name, text):
    """A file of root's alone."""
    with os.fdopen(os.open(SCRATCH / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def mount(source, target, *options):
    """A bind mount; unlike --volume it makes no folder where there is none."""
    return ["--mount", ",".join([f"type=bind,source={source},target={target}", *options])]


def lay_out(module):
    """Puts what flipctl reads into the scratch folder; returns arguments for docker, and for flipctl."""
    given = module.params
    if given["kit_file"]:
        shutil.copyfile(given["kit_file"], SCRATCH / "kit")
    else:
        write("kit", given["kit"])
    mounted = mount(SCRATCH / "kit", f"{INSIDE}/kit", "readonly")
    arguments = ["--trust", given["trust"], "--signed-by", given["signed_by"]]
    identity = given["identity"]
    if given["identity_file"]:
        path = given["identity_file"]
        mode = stat.S_IMODE(Path(path).stat().st_mode)
        if mode & 0o077:
            module.fail_json(msg=f"{path}: mode {mode:04o} lets others read it; run: chmod 600 {path}")
        identity = Path(path).read_text(encoding="utf-8")
    if identity:
        write("identity", identity if identity.endswith("\n") else f"{identity}\n")  # OpenSSH insists on it
        mounted += mount(SCRATCH / "identity", f"{INSIDE}/identity", "readonly")
        arguments += ["--identity", f"{INSIDE}/identity"]
    if given["passphrase"]:
        write("environment", f"FLIP_KIT_PASSPHRASE={given['passphrase']}\n")
        mounted += ["--env-file", str(SCRATCH / "environment")]
    if given["allow_older"]:
        arguments.append("--allow-older")
    return mounted, arguments


def copied(folder):
    """The mount of a copy of the folder's parent, in which nothing else lies."""
    COPY.mkdir()
    if folder.exists():
        shutil.copytree(folder, COPY / folder.name)
    return mount(COPY, folder.parent)


def tree(folder):
    """The mount of the folder's parent: flipctl swaps the folder as a whole.

    What else lies in the parent is hidden from the container.
    """
    parent = folder.parent
    hidden = [path for path in parent.iterdir() if path.is_dir() and path != folder and not path.name.startswith(".")]
    return mount(parent, parent) + [part for path in sorted(hidden) for part in ("--tmpfs", f"{path}:ro,size=4k")]


def open_kit(module, mounted, arguments):
    """Runs flipctl and returns what it says of the kit; ends the module where it refuses."""
    opening = ["kit", "open", f"{INSIDE}/kit", "--into", module.params["folder"], *arguments, "--json"]
    status, out, error = module.run_command(
        ["docker", *CONTAINER, *mounted, "--entrypoint", "flipctl", module.params["image"], *opening]
    )
    if status:
        module.fail_json(msg=reason(error.strip() or out.strip()))
    return json.loads(out)


def work(module):
    """Tries the kit on a copy; where it is the right one and brings something new, it is opened."""
    folder = Path(module.params["folder"])
    mounted, arguments = lay_out(module)
    result = open_kit(module, mounted + copied(folder), arguments)
    if other := differences(COPY / folder.name, module.params):
        module.fail_json(
            msg=f"kit refused: {'; '.join(other)}. Correct the inventory, or ask the hub's engineer for a kit of the "
            "hub that is meant"
        )
    if result["changed"] and not module.check_mode:
        result = open_kit(module, mounted + tree(folder), arguments)
    return result


def reason(said):
    """What flipctl said, with the names that files have outside."""
    if "Passphrase of" in said:
        return "kit refused: the kit, or the key that opens it, has a passphrase; give it as flip_kit_passphrase"
    names = ((f"kit {INSIDE}/kit: ", ""), (f"{INSIDE}/kit", "the file"), (f"{INSIDE}/identity", "the private key"))
    for inside, outside in names:
        said = said.replace(inside, outside)
    return said.removeprefix("error: ")


def main():
    """Lay out, try, open, clear away."""
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "kit": {"type": "str", "no_log": True},
            "kit_file": {"type": "path"},
            "trust": {"type": "str", "required": True},
            "signed_by": {"type": "str", "required": True},
            "identity": {"type": "str", "no_log": True},
            "identity_file": {"type": "path"},
            "passphrase": {"type": "str", "no_log": True},
            "allow_older": {"type": "bool", "default": False},
            "hub_url": {"type": "str", "default": ""},
            "fl_server": {"type": "str", "default": ""},
            "folder": {"type": "path", "default": "/opt/flip/kit"},
        },
        mutually_exclusive=[("identity", "identity_file"), ("kit", "kit_file")],
        required_one_of=[("kit", "kit_file")],
        supports_check_mode=True,
    )
    docker, image = module.get_bin_path("docker"), module.params["image"]
    if docker is None or module.run_command([docker, "image", "inspect", image])[0]:
        if module.check_mode:
            module.exit_json(changed=True)  # a bare host
        module.fail_json(
            msg=f"The kit is opened with image {image}, which is not on this host: bring it by role flip_images"
        )
    try:
        if SCRATCH.exists():
            shutil.rmtree(SCRATCH)
        SCRATCH.mkdir(mode=0o700)
        result = work(module)
    except OSError as error:
        module.fail_json(msg=f"{error}; the kit was not opened")
    finally:
        if SCRATCH.exists():
            shutil.rmtree(SCRATCH)
    module.exit_json(changed=result["changed"], serial=result["serial"], trust_name=result["trust_name"])


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Makes Docker networks that are not there, and refuses those that are there but were made otherwise."""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_network_rules import difference, wrong_entries

DOCUMENTATION = r"""
module: flip_networks
short_description: Makes bridge networks, and refuses ones that were made otherwise before anything is changed
description: >-
  Uses Docker's own program, so that a bare host needs no Python package for it. Returns C(made), the names of networks
  that were made, or would be in check mode.
options:
  networks:
    description: The networks that are to be there.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name., type: str, required: true}
      internal: {description: Whether it has no way out of the host., type: bool, required: true}
      subnet: {description: Its IPv4 subnet; Docker chooses where none is given., type: str}
author: FLIP
"""


def docker(module, *arguments):
    """Output of the docker program; ends the module where that fails."""
    status, out, error = module.run_command(["docker", *arguments])
    if status:
        module.fail_json(msg=f"`docker {' '.join(arguments)}` failed: {error.strip() or out.strip()}")
    return out


def creation(entry):
    """Arguments of `docker` that make a network."""
    arguments = ["network", "create", "--driver", "bridge"]
    if entry["internal"]:
        arguments.append("--internal")
    if entry["subnet"]:
        arguments += ["--subnet", entry["subnet"]]
    return [*arguments, entry["name"]]


def main():
    """Look at all of them, refuse or make what is missing."""
    entry = {
        "name": {"type": "str", "required": True},
        "internal": {"type": "bool", "required": True},
        "subnet": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={"networks": {"type": "list", "elements": "dict", "required": True, "options": entry}},
        supports_check_mode=True,
    )
    wanted = module.params["networks"]
    if problems := wrong_entries(wanted):
        module.fail_json(msg=f"flip_networks_list: {'; '.join(problems)}")
    if module.check_mode and not module.get_bin_path("docker"):
        module.exit_json(changed=bool(wanted), made=[entry["name"] for entry in wanted])  # a bare host

    names = set(docker(module, "network", "ls", "--format", "{{.Name}}").splitlines())
    there = [entry for entry in wanted if entry["name"] in names]
    missing = [entry for entry in wanted if entry["name"] not in names]
    if there:
        found = json.loads(docker(module, "network", "inspect", *(entry["name"] for entry in there)))
        differences = [difference(entry, network) for entry, network in zip(there, found, strict=True)]
        if problems := [text for text in differences if text]:
            module.fail_json(msg=f"Docker networks were made otherwise: {'. '.join(problems)}.")
    if not module.check_mode:
        for entry in missing:
            docker(module, *creation(entry))
    module.exit_json(changed=bool(missing), made=[entry["name"] for entry in missing])


if __name__ == "__main__":
    main()

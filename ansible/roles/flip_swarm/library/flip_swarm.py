#!/usr/bin/python3
"""Makes this host's engine a Swarm of its own, with the overlay network that stacks meet on."""

import ipaddress
import json
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_swarm
short_description: Makes a Swarm of this one host and an attachable overlay network, and keeps what is there
description: >-
  Uses Docker's own program, so that a bare host needs no Python package for it. A Swarm that is there is used as it
  is; a network that was made otherwise is refused, with the remedy.
options:
  advertise_address: {description: Address that the manager says it has., type: str, required: true}
  data_path_address: {description: Address for the traffic of overlay networks., type: str, required: true}
  network: {description: Name of the overlay network., type: str, required: true}
  subnet: {description: Its IPv4 subnet., type: str, required: true}
author: FLIP
"""

READY_SECONDS = 30


def docker(module, *arguments):
    """Output of the docker program; ends the module where that fails."""
    status, out, error = module.run_command(["docker", *arguments])
    if status:
        module.fail_json(msg=f"`docker {' '.join(arguments)}` failed: {error.strip() or out.strip()}")
    return out


def check_addresses(module):
    """Ends the module where an address or the subnet is none."""
    for name, kind in (
        ("advertise_address", ipaddress.IPv4Address),
        ("data_path_address", ipaddress.IPv4Address),
        ("subnet", ipaddress.IPv4Network),
    ):
        try:
            kind(module.params[name])
        except ValueError as error:
            module.fail_json(msg=f"flip_swarm_{name}: {error}")


def join(module):
    """Whether there had to be made a Swarm of this host."""
    swarm = json.loads(docker(module, "info", "--format", "{{json .Swarm}}"))
    state = swarm["LocalNodeState"]
    if state == "active":
        if not swarm["ControlAvailable"]:
            module.fail_json(
                msg="this host belongs to a Swarm that is managed elsewhere, so no stack can be deployed from here: "
                "make it a manager (docker node promote, on a manager), or leave that Swarm (docker swarm leave)"
            )
        return False
    if state != "inactive":
        module.fail_json(
            msg=f"this host's Swarm is {state}: see `docker info`; where it is locked, `docker swarm unlock`"
        )
    if not module.check_mode:
        docker(
            module,
            "swarm",
            "init",
            "--advertise-addr",
            module.params["advertise_address"],
            # Its door for other machines is where it says it is: on the loopback, for none.
            "--listen-addr",
            f"{module.params['advertise_address']}:2377",
            "--data-path-addr",
            module.params["data_path_address"],
        )
    return True


def manages(module):
    """Waits until this host manages its Swarm: just made, it does not yet. Ends the module where it never does."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        status, _, error = module.run_command(["docker", "node", "ls"])
        if not status:
            return
        if time.monotonic() > deadline:
            module.fail_json(msg=f"this host does not manage its Swarm after {READY_SECONDS} s: {error.strip()}")
        time.sleep(0.5)


def connect(module):
    """Whether the network had to be made."""
    name, subnet = module.params["network"], module.params["subnet"]
    if name not in docker(module, "network", "ls", "--format", "{{.Name}}").splitlines():
        if not module.check_mode:
            docker(module, "network", "create", "--driver", "overlay", "--attachable", "--subnet", subnet, name)
        return True
    found = json.loads(docker(module, "network", "inspect", name))[0]
    pairs = (
        ("driver", found["Driver"], "overlay"),
        ("attachable", found["Attachable"], True),
        ("subnet", ", ".join(item["Subnet"] for item in found["IPAM"]["Config"] or []), subnet),
    )
    differing = [f"its {key} is {has}, not {wants}" for key, has, wants in pairs if has != wants]
    if differing:
        module.fail_json(
            msg=f"network {name} is there, but {' and '.join(differing)}; end what uses it and remove it with "
            f"`docker network rm {name}`, or mend flip_swarm_network and flip_swarm_subnet"
        )
    return False


def main():
    """The Swarm, then its network."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec=dict.fromkeys(("advertise_address", "data_path_address", "network", "subnet"), text),
        supports_check_mode=True,
    )
    check_addresses(module)
    if module.check_mode and not module.get_bin_path("docker"):
        module.exit_json(changed=True)  # a bare host
    made = join(module)
    if not (made and module.check_mode):
        manages(module)
    # Without a Swarm there are no overlay networks to look at.
    connected = True if made and module.check_mode else connect(module)
    module.exit_json(changed=made or connected)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Makes a Compose project run as its file says, and touches nothing when it does already."""

import contextlib
import json
import re
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_compose
short_description: Runs a Compose project of flip_service, and says truthfully whether anything was changed
description: >-
  Compares what runs (the mark of flip_service, image, state) with the Compose file, so that a run that was interrupted
  is finished by the next one. Fails with the last lines of the log of each container that did not become healthy.
options:
  project: {description: The project's name., type: str, required: true}
  file: {description: The Compose file., type: path, required: true}
  wait_seconds: {description: How long containers may take until they are healthy (s)., type: int, default: 120}
author: FLIP
"""
MARK = "org.flip.wanted"
LOG_LINES = "15"
# What Docker says while it still does what another `docker compose up` of this project, since ended, has asked for.
AT_WORK = re.compile("is already in progress|is already in use by container|No such container")


class Project:
    """One Compose project on this host's engine."""

    def __init__(self, module):
        self.module = module
        self.name, self.file = module.params["project"], module.params["file"]

    def docker(self, *arguments, check=True):
        """Output of the docker program; ends the module where that fails."""
        status, out, error = self.module.run_command(["docker", *arguments])
        if status and check:
            self.module.fail_json(msg=f"`docker {' '.join(arguments[:6])}` failed: {error.strip() or out.strip()}")
        return out

    def compose(self, *arguments, check=True):
        """Output of Compose for this project."""
        return self.docker("compose", "--project-name", self.name, "--file", self.file, *arguments, check=check)

    def wanted(self):
        """Mark and image id of each service in the file; an image that is not there ends the module."""
        services = json.loads(self.compose("config", "--format", "json"))["services"]
        found, missing = {}, []
        for name, service in services.items():
            image = self.docker("image", "inspect", "--format", "{{.Id}}", service["image"], check=False).strip()
            if not image:
                missing.append(service["image"])
            found[name] = {"mark": service["labels"][MARK], "image": image}
        if missing and not self.module.check_mode:
            self.module.fail_json(
                msg=f"images missing on this host: {', '.join(sorted(set(missing)))}; bring them with role "
                "flip_images, or load them with docker load"
            )
        return found

    def present(self):
        """Mark, image id and state of each container of the project, by service."""
        label = f"label=com.docker.compose.project={self.name}"
        listed = self.docker("ps", "--all", "--quiet", "--filter", label).split()
        containers = json.loads(self.docker("inspect", *listed)) if listed else []
        found = {}
        for container in containers:
            labels, state = container["Config"]["Labels"], container["State"]
            if labels.get("com.docker.compose.oneoff") == "True":
                continue  # `docker compose run` by hand
            found[labels["com.docker.compose.service"]] = {
                "name": container["Name"].lstrip("/"),
                "mark": labels.get(MARK, ""),
                "image": container["Image"],
                "state": state["Status"],
                "health": state.get("Health", {}).get("Status", "none"),
                "test": container["Config"].get("Healthcheck", {}).get("Test") or ["NONE"],
            }
        return found

    def differences(self):
        """What is not as the file says, in words."""
        wanted, present = self.wanted(), self.present()
        found = [f"{name} is not wanted any more" for name in sorted(present.keys() - wanted.keys())]
        for name, target in sorted(wanted.items()):
            there = present.get(name)
            if there is None:
                found.append(f"{name} is not there")
            elif there["state"] != "running":
                found.append(f"{name} is {there['state']}")
            elif there["mark"] != target["mark"]:
                found.append(f"{name} has other settings")
            elif there["image"] != target["image"]:
                found.append(f"{name} has another image")
        return found

    def unwell(self):
        """Containers that are not ready yet. One that Docker has not looked at is asked by its own health check."""
        return [there for there in self.unproven() if not self.says_it_is_well(there)]

    def says_it_is_well(self, there):
        """What a container's own health check says before Docker's first look, which is one whole interval away."""
        if there["state"] != "running" or there["health"] != "starting" or there["test"][0] != "CMD":
            return False
        return self.module.run_command(["docker", "exec", there["name"], *there["test"][1:]])[0] == 0

    def unproven(self):
        """Containers that Docker itself has not found well."""
        present = self.present().values()
        return [there for there in present if there["state"] != "running" or there["health"] not in ("none", "healthy")]

    def complaint(self):
        """State and last words of each container that may be the reason: one that keeps ending is well in between."""
        said = []
        for there in self.unproven():
            _, out, error = self.module.run_command(["docker", "logs", "--tail", LOG_LINES, there["name"]])
            state = f"{there['name']} is {there['state']}, health {there['health']}"
            said.append(f"{state}; its log ends:\n{out}{error}".rstrip())
        return "\n".join(said)

    def up(self):
        """Starts what is missing, makes anew what differs, removes what is left over; waits until all are ready."""
        seconds = self.module.params["wait_seconds"]
        deadline = time.monotonic() + seconds
        with self.without_the_unit():
            self.apply(deadline)
        while self.unwell():
            if time.monotonic() > deadline:
                self.fail(f"did not come up within {seconds} s")
            time.sleep(0.5)

    @contextlib.contextmanager
    def without_the_unit(self):
        """Keeps the unit from starting the project meanwhile: of two `up` at once, one undoes what the other does.

        A unit waits until its containers are well, and begins again half a minute after it failed.
        """
        unit = f"{self.name}.service"
        state = self.systemctl("show", "--property", "ActiveState", "--value", unit).strip()
        if state != "activating":
            yield
            return
        self.systemctl("stop", unit)  # its containers go on: they are stopped only once a unit has come up
        try:
            yield
        finally:
            self.systemctl("start", "--no-block", unit)

    def systemctl(self, *arguments):
        """Output of systemctl; ends the module where that fails."""
        status, out, error = self.module.run_command(["systemctl", *arguments])
        if status:
            self.module.fail_json(msg=f"`systemctl {' '.join(arguments)}` failed: {error.strip() or out.strip()}")
        return out

    def apply(self, deadline):
        """`docker compose up`, again while Docker has something under way."""
        command = ["docker", "compose", "--project-name", self.name, "--file", self.file, "up"]
        while True:
            status, _, error = self.module.run_command([*command, "--detach", "--remove-orphans"])
            if not status:
                return
            if not AT_WORK.search(error) or time.monotonic() > deadline:
                # A container that others wait for is not well, or one could not be made at all.
                self.fail("could not be started", error)
            time.sleep(1)

    def fail(self, what, error=""):
        """Ends the module with what is known of the containers that are not well."""
        said = "\n".join(part for part in (error.strip(), self.complaint()) if part)
        remedy = f"Look at it with: docker compose --project-name {self.name} logs"
        self.module.fail_json(msg=f"{self.name} {what}.\n{said}\n{remedy}")


def main():
    """Compare, and start what differs."""
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "file": {"type": "path", "required": True},
            "wait_seconds": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not (Path(module.params["file"]).exists() and module.get_bin_path("docker")):
        module.exit_json(changed=True, differences=["nothing is there yet"])
    project = Project(module)
    differences = project.differences()
    if not module.check_mode and (differences or project.unwell()):
        project.up()
    module.exit_json(changed=bool(differences), differences=differences)


if __name__ == "__main__":
    main()

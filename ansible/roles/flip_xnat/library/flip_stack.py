#!/usr/bin/python3
"""Makes a Swarm stack run as its file says, and touches nothing when it does already."""

import json
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flip_stack
short_description: Runs a Swarm stack of this host, and says truthfully whether anything was changed
description: >-
  Compares what runs (a mark on each service, its image, its health) with what is wanted, so that a run that was
  interrupted is finished by the next one. Removes secrets of the stack that no service has any more. Fails with the
  last lines of the log of each service that did not become healthy.
options:
  stack: {description: Name of the stack., type: str, required: true}
  file: {description: The stack's file., type: path, required: true}
  mark: {description: What the label org.flip.wanted of each service in the file says., type: str, required: true}
  services: {description: Services of the file with their images., type: dict, required: true}
  wait_seconds: {description: How long services may take until they are healthy (s)., type: int, required: true}
author: FLIP
"""
MARK = "org.flip.wanted"
POLL_SECONDS = 1
LOG_LINES = "15"


class Stack:
    """One stack on this host's Swarm."""

    def __init__(self, module):
        self.module, self.name = module, module.params["stack"]
        self.services = {f"{self.name}_{key}": image for key, image in module.params["services"].items()}

    def docker(self, *arguments, check=True):
        """Output of the docker program; ends the module where that fails."""
        status, out, error = self.module.run_command(["docker", *arguments])
        if status and check:
            self.module.fail_json(msg=f"`docker {' '.join(arguments[:4])}` failed: {error.strip() or out.strip()}")
        return out

    def images(self):
        """Id of each service's image; one that is not on this host ends the module."""
        found = {}
        for service, image in self.services.items():
            found[service] = self.docker("image", "inspect", "--format", "{{.Id}}", image, check=False).strip()
        missing = sorted({self.services[service] for service, number in found.items() if not number})
        if missing and not self.module.check_mode:
            self.module.fail_json(
                msg=f"images missing on this host: {', '.join(missing)}; bring them with role flip_images, or load "
                "them with docker load"
            )
        return found

    def there(self):
        """The services that the Swarm has for this stack, with their marks."""
        names = self.docker(
            "service", "ls", "--filter", f"label=com.docker.stack.namespace={self.name}", "--format", "{{.Name}}"
        ).split()
        if not names:
            return {}
        found = json.loads(self.docker("service", "inspect", *names))
        return {item["Spec"]["Name"]: item["Spec"]["Labels"].get(MARK, "") for item in found}

    def running(self):
        """Image id and health of the containers of each service."""
        numbers = self.docker("ps", "--quiet", "--filter", f"label=com.docker.stack.namespace={self.name}").split()
        found = {}
        # One may have ended since it was listed: what is not found is not running.
        out = self.docker("inspect", *numbers, check=False) if numbers else "[]"
        for item in json.loads(out or "[]"):
            service = item["Config"]["Labels"]["com.docker.swarm.service.name"]
            health = item["State"].get("Health", {}).get("Status", "healthy")
            found.setdefault(service, []).append((item["Image"], health))
        return found

    def is_as_wanted(self, images):
        """Whether each service has its mark and one healthy container of its image, and there is no other service."""
        marks = dict.fromkeys(self.services, self.module.params["mark"])
        return self.there() == marks and self.is_healthy(images)

    def is_healthy(self, images):
        """Whether each service has one healthy container of its image."""
        return self.running() == {service: [(image, "healthy")] for service, image in images.items()}

    def deploy(self):
        """Brings the stack to what its file says."""
        file = self.module.params["file"]
        self.docker("stack", "deploy", "--prune", "--resolve-image", "never", "--compose-file", file, self.name)

    def wait(self, images):
        """Until each service is healthy; ends the module when that takes too long."""
        deadline = time.monotonic() + self.module.params["wait_seconds"]
        while not self.is_as_wanted(images):
            if time.monotonic() > deadline:
                self.module.fail_json(msg="\n".join(self.complaint(images)))
            time.sleep(POLL_SECONDS)

    def complaint(self, images):
        """What is wrong with each service that is not healthy."""
        running = self.running()
        yield f"stack {self.name} is not healthy after {self.module.params['wait_seconds']} s:"
        for service, image in images.items():
            if running.get(service) == [(image, "healthy")]:
                continue
            tasks = self.docker(
                "service", "ps", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}", service, check=False
            )
            logs = self.docker("service", "logs", "--raw", "--tail", LOG_LINES, service, check=False)
            yield f"{service}: {tasks.strip()}\n{logs.strip()}"

    def clean(self):
        """Whether secrets were removed that no service of the stack has any more."""
        listed = self.docker(
            "secret", "ls", "--filter", f"label=com.docker.stack.namespace={self.name}", "--format", "{{.Name}}"
        ).split()
        found = json.loads(self.docker("service", "inspect", *self.there())) if self.there() else []
        used = {
            secret["SecretName"]
            for item in found
            for secret in item["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets") or []
        }
        unused = sorted(set(listed) - used)
        if unused and not self.module.check_mode:
            self.docker("secret", "rm", *unused)
        return bool(unused)


def main():
    """Look, deploy what differs, wait."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "file": {"type": "path", "required": True},
            "mark": {"type": "str", "required": True},
            "services": {"type": "dict", "required": True},
            "wait_seconds": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not module.get_bin_path("docker"):
        module.exit_json(changed=True)  # a bare host
    stack = Stack(module)
    state = stack.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip()
    if state != "active":
        if module.check_mode:
            module.exit_json(changed=True)
        module.fail_json(msg="this host's engine is no Swarm: run role flip_swarm before")
    images = stack.images()
    changed = not stack.is_as_wanted(images)
    if changed and not module.check_mode:
        stack.deploy()
        stack.wait(images)
    cleaned = stack.clean()
    module.exit_json(changed=changed or cleaned)


if __name__ == "__main__":
    main()

"""From a role's containers to a Compose file in which each is confined, and marked with what it was made from."""

import hashlib
import json

MARK = "org.flip.wanted"
CONFINED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp"],  # noqa: S108 - the container's own, in memory
    "init": True,
    "restart": "unless-stopped",
    "pull_policy": "never",  # an image that is not here must not be taken from a public registry, where others name it
}


def project(containers, files, networks, root):
    """The Compose document. The mark of a container changes with its definition and with every file it reads."""
    strange = sorted({file["service"] for file in files} - set(containers))
    if strange:
        raise ValueError(f"flip_service_files names containers that are not there: {', '.join(strange)}")
    services = {}
    for name, own in containers.items():
        if "image" not in own:
            raise ValueError(f"flip_service_containers: {name} has no image")
        service = {**CONFINED, **own}
        service["volumes"] = [*own.get("volumes", []), f"{root}/{name}:/config:ro"]
        read = sorted(
            (file["name"], file["content"], file["owner"], file["mode"]) for file in files if file["service"] == name
        )
        digest = hashlib.sha256(json.dumps([service, read], sort_keys=True).encode()).hexdigest()
        service["labels"] = {**own.get("labels", {}), MARK: digest}
        services[name] = service
    return {"services": services, "networks": {name: {"external": True} for name in networks}}


def places(containers, folders, root):
    """Folders of the service on the host: one for each container's files, and those for data."""
    # 0755: who may come this far is settled by /opt/flip/config
    own = [
        {"path": path, "owner": 0, "group": 0, "mode": "0755"} for path in [root, *(f"{root}/{c}" for c in containers)]
    ]
    return [*own, *folders]


def paths(files, root):
    """The files with their place on the host."""
    keys = ("content", "owner", "mode")
    return [
        {"path": f"{root}/{file['service']}/{file['name']}", "group": 0, **{key: file[key] for key in keys}}
        for file in files
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Filters by name."""
        return {"flip_service_project": project, "flip_service_places": places, "flip_service_paths": paths}

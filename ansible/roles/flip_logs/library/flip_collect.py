#!/usr/bin/python3
"""Collects what is needed to understand a host of FLIP into one archive, without secrets."""

import io
import json
import subprocess
import tarfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.flip_redact import redact, redact_mapping, secrets_in

DOCUMENTATION = r"""
module: flip_collect
short_description: Journals, logs, versions, status and counters of FLIP on this host, in one archive
description: >-
  Takes nothing but FLIP's own units and containers. Env files and the kit are read for the secrets in them, so that
  none is in what is collected, and are no part of it. Returns C(files), with what could not be had in C(missing).
options:
  path: {description: The archive to write (tar.gz)., type: path, required: true}
  since: {description: "How far back, as journalctl takes it.", type: str, required: true}
  root: {description: Where FLIP is installed., type: path, default: /opt/flip}
  max_bytes: {description: "Most of one log that is taken, its end.", type: int, default: 20000000}
author: FLIP
"""
SECONDS = 120
COMMANDS = {
    "versions/kernel.txt": ["uname", "-a"],
    "versions/system.txt": ["cat", "/etc/os-release"],
    "versions/docker.txt": ["docker", "version"],
    "versions/compose.txt": ["docker", "compose", "version"],
    "versions/images.txt": ["docker", "image", "ls", "--digests"],
    "versions/systemd.txt": ["systemctl", "--version"],
    "host/disks.txt": ["df", "--human-readable"],
    "host/memory.txt": ["free", "--human"],
    "host/docker-disk.txt": ["docker", "system", "df"],
    "host/clock.txt": ["timedatectl", "status"],
    "host/networks.txt": ["docker", "network", "ls"],
    "firewall/table.txt": ["nft", "list", "table", "inet", "flip"],
    "firewall/counters.txt": ["nft", "list", "counters"],
    "status.json": ["/usr/local/sbin/flipctl", "status", "--json"],
    "units/list.txt": ["systemctl", "list-units", "--all", "--no-pager", "flip-*"],
}
OWNERS = ("com.docker.compose.project", "com.docker.stack.namespace")


class Collection:
    """The archive while it is filled."""

    def __init__(self, module):
        self.root, self.since = Path(module.params["root"]), module.params["since"]
        self.most = module.params["max_bytes"]
        self.secrets = self._secrets()
        self.files, self.missing = [], {}

    def _secrets(self):
        found = set()
        for pattern in ("kit/*.env", "config/*/*/*.env"):
            for file in self.root.glob(pattern):
                found |= secrets_in(file.read_text(encoding="utf-8", errors="replace"))
        for pattern in ("config/secrets/*", "config/*/*/password"):
            for file in self.root.glob(pattern):
                if file.is_file() and (secret := file.read_text(encoding="utf-8", errors="replace").strip()):
                    found.add(secret)
        return found

    def run(self, command):
        """What a command says, or None with the reason in `missing`."""
        name = " ".join(command)
        try:
            done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.missing[name] = str(error)
            return None
        # `flipctl status` ends with 1 where it found a fault, and says so all the same.
        if done.returncode and not done.stdout:
            self.missing[name] = redact(done.stderr.decode(errors="replace")[-500:], self.secrets)
            return None
        return done.stdout + (done.stderr if command[:2] == ["docker", "logs"] else b"")

    def add(self, name, content):
        """Puts a file in: its end, if it is long, without secrets."""
        if content is None:
            return
        text = content.decode(errors="replace") if isinstance(content, bytes) else content
        self.files.append((name, redact(text, self.secrets)[-self.most :]))

    def collect(self):
        """Everything, in turn."""
        for name, command in COMMANDS.items():
            self.add(name, self.run(command))
        for unit in self._units():
            self.add(
                f"units/{unit}.log",
                self.run(["journalctl", "--unit", unit, "--since", self.since, "--no-pager", "--output=short-iso"]),
            )
        for found in self._containers():
            name = found["Name"].lstrip("/")
            self.add(f"containers/{name}.json", json.dumps(redact_mapping(found), indent=1))
            self.add(f"containers/{name}.log", self.run(["docker", "logs", "--timestamps", name]))
        for file in sorted(self.root.glob("config/*/compose.yml")):
            shown = self.run(
                ["docker", "compose", "--file", str(file), "config", "--format", "json", "--no-interpolate"]
            )
            if shown is not None:
                self.add(f"compose/{file.parent.name}.json", json.dumps(redact_mapping(json.loads(shown)), indent=1))

    def _units(self):
        listed = self.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "flip-*"]) or b""
        return [line.split()[0] for line in listed.decode().splitlines() if line.strip()]

    def _containers(self):
        found = []
        for one in (self.run(["docker", "ps", "--all", "--quiet"]) or b"").decode().split():
            inspected = self.run(["docker", "inspect", one])
            for container in json.loads(inspected) if inspected else []:
                labels = container["Config"]["Labels"] or {}
                if any(labels.get(owner, "").startswith("flip-") for owner in OWNERS):
                    found.append(container)
        return found

    def write(self, path):
        """The archive, root's alone."""
        path.touch(mode=0o600)
        with tarfile.open(path, "w:gz") as archive:
            for name, text in [*self.files, ("missing.json", json.dumps(self.missing, indent=1))]:
                content = text.encode()
                about = tarfile.TarInfo(name)
                about.size, about.mtime, about.mode = len(content), int(time.time()), 0o600
                archive.addfile(about, io.BytesIO(content))


def main():
    """Collect, write, tell."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "since": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/opt/flip"},
            "max_bytes": {"type": "int", "default": 20_000_000},
        },
        supports_check_mode=True,
    )
    collection = Collection(module)
    collection.collect()
    if not module.check_mode:
        collection.write(Path(module.params["path"]))
    # Nothing of the host is changed by a look at it.
    module.exit_json(changed=False, files=[name for name, _ in collection.files], missing=collection.missing)


if __name__ == "__main__":
    main()

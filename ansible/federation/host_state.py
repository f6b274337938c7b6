"""Prints how a host is, as JSON: run on the host, by root, with its own Python. Standard library only.

Two hosts that were provisioned alike print the same. What each makes for itself (passwords, keys, and what is derived
from them) is told by its place, owner and mode; where it stands in another file, by its name in the place of its value.
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TREES = ("/etc", "/opt/flip", "/root", "/tmp", "/usr/local", "/var/lib/flip-firewall", "/var/tmp")
# What services write when they run is not looked into, only what it lies in; nor Ansible's own scratch folder, where a
# task that was killed leaves its own.
CLOSED = (
    "/root/.ansible/",
    "/opt/flip/data/",
    "/opt/flip/fl/",
    "/opt/flip/airlock/",
    "/opt/flip/volumes/",
    "/opt/flip/backup/",
)
# Told by place, owner and mode alone: secrets, and what holds a number of this host or a time.
OWN = re.compile(
    r"/opt/flip/config/secrets/.*|/opt/flip/config/certificates/.*|/etc/machine-id|/etc/docker/key\.json|"
    r"/etc/(g?shadow|passwd|group|subuid|subgid)-|/etc/g?shadow|/etc/ld\.so\.cache|/etc/\.updated|/etc/\.pwd\.lock|"
    r"/var/lib/flip-firewall/seen\.json"
)
NUMBERS = re.compile(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b")
IMAGE = "{{.Repository}}:{{.Tag}} {{.ID}}"
DATABASE, OWNER = "flip-omop-db-1", "flip_owner"
CONNECTED = f"PGPASSWORD=$(cat /config/password) {{}} --host=127.0.0.1 --username={OWNER}"
DUMPS = {
    "schema": "pg_dump --schema-only omop",
    "records": "pg_dump --data-only --schema=omop omop",
    "roles": "pg_dumpall --roles-only --no-role-passwords",
}


def say(*command: str) -> str:
    """What a program prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def known() -> dict[str, str]:
    """Values that only this host has, with a name for each."""
    folder = Path("/opt/flip/config/secrets")
    found = {path.read_text(encoding="utf-8").strip(): path.name for path in folder.iterdir()}
    key = Path("/opt/flip/fl/site/site.key.pub")
    if key.exists():
        found[key.read_text(encoding="utf-8").strip()] = "the FL key"
    return {value: f"<{name}>" for value, name in found.items() if value}


def common(text: str, names: dict[str, str]) -> str:
    """The text without what only this host has."""
    for value, name in names.items():
        text = text.replace(value, name)
    return NUMBERS.sub("<number>", text)


def entry(path: Path, names: dict[str, str]) -> list[str | int]:
    """Type, mode, owner, group and content of a path."""
    found = path.lstat()
    told: list[str | int] = [stat.filemode(found.st_mode), found.st_uid, found.st_gid]
    if stat.S_ISLNK(found.st_mode):
        return [*told, os.readlink(path)]
    if stat.S_ISREG(found.st_mode) and not OWN.fullmatch(str(path)):
        content = path.read_bytes()
        content = common(content.decode(errors="surrogateescape"), names).encode(errors="surrogateescape")
        told.append(hashlib.sha256(content).hexdigest())
    return told


def paths(names: dict[str, str]) -> dict[str, list[str | int]]:
    """Every path of the trees."""
    found: dict[str, list[str | int]] = {}
    for tree in filter(os.path.exists, TREES):
        found[tree] = entry(Path(tree), names)
        for folder, folders, files in os.walk(tree):
            folders[:] = [name for name in folders if not name.startswith("systemd-private-")]
            for name in (*folders, *files):
                found[f"{folder}/{name}"] = entry(Path(folder, name), names)
            if f"{folder}/" in CLOSED:
                folders.clear()
    return found


def containers(names: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every container, those that ended too, by its name: what it was made from and how it is."""
    numbers = say("docker", "ps", "--all", "--quiet").split()
    found = {}
    for item in json.loads(say("docker", "inspect", *numbers)) if numbers else []:
        state = item["State"]
        wanted = {
            "config": item["Config"],
            "host": item["HostConfig"],
            "mounts": sorted((mount["Type"], mount["Destination"], mount["RW"]) for mount in item["Mounts"]),
            "networks": sorted(item["NetworkSettings"]["Networks"]),
        }
        found[item["Name"]] = {
            "image": item["Image"],
            "state": [state["Status"], state.get("Health", {}).get("Status", "")],
            "made from": json.loads(common(json.dumps(wanted, sort_keys=True), names)),
        }
    return found


def networks() -> dict[str, dict[str, Any]]:
    """Every network of the engine, by name."""
    found = json.loads(say("docker", "network", "inspect", *say("docker", "network", "ls", "--quiet").split()))
    kept = ("Driver", "Internal", "Attachable", "IPAM", "Options", "Labels")
    return {item["Name"]: {key: item[key] for key in kept} for item in found}


def in_order(dump: Iterable[str]) -> Iterator[str]:
    """A dump's lines with the rows of each table sorted: in which order they lie on the disk is chance."""
    rows: list[str] | None = None
    for line in dump:
        if rows is None:
            yield line
            rows = [] if line.startswith("COPY ") else None
        elif line == "\\.":
            yield from sorted(rows)
            yield line
            rows = None
        else:
            rows.append(line)


def database() -> dict[str, str]:
    """The records and who may do what with them, as a digest of the database's own dumps."""
    found = {}
    for name, dump in DUMPS.items():
        text = say("docker", "exec", DATABASE, "sh", "-c", CONNECTED.format(dump))
        # The dump's own fence against what a dumped name could do is random.
        lines = [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]
        found[name] = hashlib.sha256("\n".join(in_order(lines)).encode()).hexdigest()
    return found


def units() -> dict[str, list[str]]:
    """Which units are switched on, and how those of FLIP and the engine are."""
    listed = ("systemctl", "list-unit-files", "--no-legend", "--plain")
    on = {line.split()[0] for line in say(*listed, "--state=enabled").splitlines()}
    ours = {line.split()[0] for line in say(*listed, "flip-*", "docker.*").splitlines()}
    asked = ("systemctl", "show", "--property=ActiveState,UnitFileState,Result")
    return {"enabled": sorted(on), **{name: sorted(say(*asked, name).split()) for name in sorted(ours)}}


def main() -> None:
    """Everything."""
    names = known()
    packages = say("dpkg-query", "--show", "--showformat=${binary:Package} ${Version} ${db:Status-Abbrev}\n")
    state = {
        "path": paths(names),
        "container": containers(names),
        "network": networks(),
        "image": say("docker", "images", "--no-trunc", "--format", IMAGE).splitlines(),
        "volume": {"how many": len(say("docker", "volume", "ls", "--quiet").split())},
        "unit": units(),
        "package": dict(line.split(" ", 1) for line in packages.splitlines()),
        "firewall": say("nft", "--stateless", "list", "table", "inet", "flip").splitlines(),
        "database": database(),
    }
    json.dump(state, sys.stdout)


if __name__ == "__main__":
    main()

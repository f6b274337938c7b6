#!/usr/bin/python3
"""Writes down what `flipctl status` finds, for Prometheus, and where FLIP's containers log, for Alloy.

    flip-status --volumes /opt/flip/volumes --docker-root /var/lib/docker --logs-gb 5

Both files are replaced as a whole, and only by what is complete: when the host cannot be looked at, the measures grow
old, which is an alert of its own. Only the standard library.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

LEVELS = {"ok": 0, "warning": 1, "fault": 2}
FLIPCTL = "/usr/local/sbin/flipctl"
PREFIX = "flip-"
LABELS = (
    "com.docker.compose.project",
    "com.docker.compose.service",
    "com.docker.stack.namespace",
    "com.docker.swarm.service.name",
)
LIST = "\t".join(["{{.ID}}", *(f'{{{{.Label "{label}"}}}}' for label in LABELS)])
SECONDS = 120


def run(command, good=(0,)):
    """What a command says; SystemExit with its error if it ends otherwise than well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"flip-status: {' '.join(command[:2])}: {error}") from None
    if done.returncode not in good:
        raise SystemExit(f"flip-status: {' '.join(command[:2])} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def targets(listed, docker_root):
    """Log files of FLIP's containers, as Prometheus' file discovery has them; the paths are those Alloy sees."""
    found = []
    for line in listed.splitlines():
        container, project, service, stack, task = line.split("\t")
        if not (project or stack).startswith(PREFIX):
            continue
        log = Path(container) / f"{container}-json.log"
        if not (docker_root / "containers" / log).exists():
            continue  # removed meanwhile, or it logs elsewhere
        labels = {
            "__path__": f"/containers/{log}",
            "project": project or stack,
            "service": service or task.removeprefix(f"{stack}_"),
        }
        found.append({"targets": [container], "labels": labels})
    return sorted(found, key=lambda one: one["targets"])


def measures(document, folders, logs_bytes, taken, now):
    """The text that Prometheus reads."""
    worst = {}
    for kind, rows in (("container", document["containers"]), ("finding", document["findings"])):
        for row in rows:
            key = (kind, row["check"])
            worst[key] = max(worst.get(key, 0), LEVELS[row["verdict"]])
    lines = ["# HELP flip_check What flipctl status found: 0 ok, 1 warning, 2 fault.", "# TYPE flip_check gauge"]
    for (kind, check), level in sorted(worst.items()):
        lines.append(f"flip_check{{kind={_quoted(kind)},check={_quoted(check)}}} {level}")
    gauge(lines, "flip_status_time_seconds", "When the host was looked at.", now)
    gauge(lines, "flip_logs_bytes", "Disk that logs take.", logs_bytes)
    gauge(lines, "flip_logs_taken", "Whether logs are taken in: 0 when they take all the disk they may.", int(taken))
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    for name, field in (("flip_memory_bytes", "MemTotal"), ("flip_memory_available_bytes", "MemAvailable")):
        gauge(lines, name, f"{field} of the host.", int(memory[field].split()[0]) * 1024)
    spaces = {str(folder): os.statvfs(folder) for folder in folders if folder.exists()}
    for name, field in (("flip_disk_bytes", "f_blocks"), ("flip_disk_free_bytes", "f_bavail")):
        lines += [f"# HELP {name} {field} of the folder's disk.", f"# TYPE {name} gauge"]
        lines += [f"{name}{{folder={_quoted(path)}}} {getattr(s, field) * s.f_frsize}" for path, s in spaces.items()]
    return "\n".join(lines) + "\n"


def gauge(lines, name, meaning, value):
    """Adds a measure without labels."""
    lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {value}"]


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)


def size(folder):
    """Bytes that the files below a folder take on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(place) / name).st_blocks * 512
            except FileNotFoundError:
                continue  # removed meanwhile
    return total


def replace(file, text):
    """Writes the file as a whole, for everybody who may enter its folder."""
    new = file.with_name(f".{file.name}")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(file)


def look():
    """What `flipctl status` found; it ends with 1 where that is a fault."""
    said = run([FLIPCTL, "status", "--json"], good=(0, 1))
    try:
        return json.loads(said)
    except json.JSONDecodeError as error:
        raise SystemExit(f"flip-status: {FLIPCTL} status --json gave no JSON: {error}: {said[:500]}") from None


def main(arguments=None):
    """Logs first: they are wanted most when the look at the host fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--volumes", type=Path, required=True, help="where the observability's data lie")
    parser.add_argument("--docker-root", type=Path, required=True, help="where Docker keeps containers")
    parser.add_argument("--logs-gb", type=float, required=True, help="most disk that logs may take (GB)")
    given = parser.parse_args(arguments)
    logs_bytes = size(given.volumes / "loki")
    taken = logs_bytes < given.logs_gb * 1e9
    listed = run(["docker", "ps", "--all", "--no-trunc", "--format", LIST])
    wanted = targets(listed, given.docker_root) if taken else []
    replace(given.volumes / "targets" / "targets.json", json.dumps(wanted, indent=1))
    folders = [Path("/"), given.volumes, given.docker_root]
    text = measures(look(), folders, logs_bytes, taken, int(time.time()))
    replace(given.volumes / "metrics" / "metrics.txt", text)


if __name__ == "__main__":
    sys.exit(main())

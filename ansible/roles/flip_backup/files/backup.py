#!/usr/bin/python3
"""Backs this host up, and restores it.

    flip-backup now
    flip-backup list
    flip-backup check trust-20260301T023000Z
    flip-backup restore trust-20260301T023000Z --identity /root/backup.key

What is in a backup, /etc/flip/backup.json says: a database, files and folders. A backup is a folder with manifest.json
(what it holds) and SHA256SUMS (how to know that it is whole), written under another name and renamed when complete.
Nothing has to stop for it: the database is dumped as of one moment and read first, so that no row of it names a file
that is not in the backup.

A restore happens whole or not at all. All is unpacked beside its place; then containers stop, names are exchanged, and
the database's exchange, one transaction and the last, decides that it happened. What was there is kept until the
services run again. After an interruption, restore again: the first thing it does is to undo what was not finished.
"""

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
from pathlib import Path

from backup_database import REPLACED, RESTORING, Database
from backup_files import archive, beside, exchange, remove, size, take_back, unpack
from backup_pipes import BackupError, ask_for_space, packing, pipe, run, unpacking

FORMAT = 1
SETTINGS = Path("/etc/flip/backup.json")
SUMS, MANIFEST, JOURNAL = "SHA256SUMS", "manifest.json", ".restoring.json"
UNITS = Path("/etc/systemd/system")


def sha256(path):
    """Digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def alone(folder):
    """One backup or restore at a time."""
    with (folder / ".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("another backup or restore runs on this host; wait until it is done") from None
        yield


def complete(folder, kind):
    """Backups of a host's kind, the oldest first."""
    return sorted(path for path in folder.glob(f"{kind}-*Z") if path.is_dir())


def database_of(settings):
    """The host's database, signed in to; None where it has none."""
    if not settings["database"]:
        return None
    database = Database(settings)
    database.sign_in()
    return database


def back_up(settings):
    """Makes a backup and forgets those over the number to keep. Returns its folder."""
    folder, kind = Path(settings["folder"]), settings["kind"]
    for part in folder.glob(".*.part"):  # of one that was interrupted
        shutil.rmtree(part)
    database = database_of(settings)
    roots = [root for root in map(Path, settings["paths"]) if root.exists()]
    for absent in sorted({*settings["paths"]} - {*map(str, roots)}):
        print(f"not there, and so not in this backup: {absent}")
    bytes_of = {str(root): size(root) for root in roots}
    of_database = database.bytes() if database else 0
    ask_for_space([(folder, sum(bytes_of.values()) + of_database)])
    now = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 - Python 3.10 of Ubuntu 22.04
    name = f"{kind}-{now:%Y%m%dT%H%M%SZ}"
    work = folder / f".{name}.part"
    work.mkdir(mode=0o700)
    try:
        if database:
            database.dump(work)
        commands, ending = packing(settings)
        with (work / f"files.tar{ending}").open("wb") as file, pipe(*commands, target=file) as stream:
            archive(roots, stream)
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "release": settings["release"],
            "host": platform.node(),
            "made": now.isoformat(timespec="seconds"),
            "paths": bytes_of,
            "database": {"name": database.name, "bytes": of_database} if database else None,
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(work.iterdir())]
        (work / SUMS).write_text("".join(sums), encoding="utf-8")
        os.sync()
        work.rename(folder / name)
    except BaseException:
        shutil.rmtree(work)
        raise
    for old in complete(folder, kind)[: -settings["keep"]]:
        shutil.rmtree(old)
    return folder / name


def find(settings, name):
    """The folder of a backup, by its name or by its path. Raises BackupError where there is none."""
    folder = Path(settings["folder"])
    backup = folder / name  # an absolute path stays what it is
    if not (backup / MANIFEST).is_file():
        there = ", ".join(path.name for path in complete(folder, "*")) or "none"
        raise BackupError(f"{backup} is no backup; in {folder} there are: {there}")
    return backup


def check(backup):
    """What a backup says it holds. Raises BackupError where it is damaged."""
    try:
        lines = (backup / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        there = {path.name for path in backup.iterdir()} - {SUMS}
        odd = sorted(sums.keys() ^ there) + sorted(n for n in sums.keys() & there if sha256(backup / n) != sums[n])
    except (OSError, ValueError) as error:
        raise BackupError(f"{backup} is damaged: {SUMS}: {error}; use another backup") from None
    if odd:
        raise BackupError(f"{backup} is damaged: {', '.join(odd)} is not as {SUMS} says; use another backup")
    manifest = json.loads((backup / MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise BackupError(f"{backup} is of format {manifest['format']}, this program reads {FORMAT}; use its release's")
    return manifest


def fits(settings, backup, manifest, identity):
    """Raises BackupError where a backup is not for this host as it is now."""
    for what in ("kind", "release"):
        if manifest[what] != settings[what]:
            raise BackupError(
                f"{backup.name} is of {what} {manifest[what]}, this host of {settings[what]}: bring this host to "
                f"{manifest[what]} with the site's playbook, then restore"
            )
    name = settings["database"] and settings["database"]["name"]
    if (manifest["database"] and manifest["database"]["name"]) != name:
        raise BackupError(f"{backup.name} has database {manifest['database']}, this host {name}")
    for path in manifest["paths"]:
        if path not in settings["paths"]:
            raise BackupError(f"{backup.name} holds {path}, which this host does not back up: set the same variables")
        if not Path(path).parent.is_dir():
            raise BackupError(f"{Path(path).parent} is not there: run the site's playbook on this host first")
        if Path(path).is_mount():
            raise BackupError(f"{path} is a mount point and cannot be exchanged: mount the folder above it instead")
    if any(path.suffix == ".age" for path in backup.iterdir()) and not (identity and Path(identity).is_file()):
        raise BackupError(f"{backup.name} is encrypted: give the key it was encrypted to as --identity FILE")


def containers_rest(settings):
    """Stops the containers of the host's services, all but the database's."""
    for unit in settings["units"]:
        project = f"label=com.docker.compose.project={unit.removesuffix('.service')}"
        names = set(run("docker", "ps", "--format", "{{.Names}}", "--filter", project).split())
        names -= {settings["database"] and settings["database"]["container"]}
        if names:
            run("docker", "stop", "--time=60", *sorted(names))


def services_start(settings):
    """Starts the host's services, so that each sees what is in its place now. Raises BackupError if one does not."""
    failed = []
    for unit in settings["units"]:
        if (UNITS / unit).exists():
            try:
                run("systemctl", "restart", unit)
            except BackupError:
                failed.append(unit)
    if failed:
        raise BackupError(f"{' and '.join(failed)} did not start; see `journalctl --unit {failed[0]}`")


def begin(journal, roots):
    """Notes what was there. The note appears whole or not at all: with half of one nothing could be undone."""
    part = journal.with_suffix(".new")
    with part.open("w", encoding="utf-8") as file:
        json.dump({str(root): root.exists() for root in roots}, file)
        file.flush()
        os.fsync(file.fileno())
    part.rename(journal)


def put_right(settings, database):
    """Ends what an interrupted restore began: undone, unless the database was exchanged already. Then it happened."""
    journal = Path(settings["folder"]) / JOURNAL
    if not journal.exists():
        return
    if database:
        database.sign_in()
    if not (database and database.has(REPLACED)):
        for root, was_there in json.loads(journal.read_text(encoding="utf-8")).items():
            take_back(Path(root), was_there)
    journal.unlink()


def forget(settings, database, *endings):
    """Removes what lies beside its place."""
    for ending in endings:
        for root in settings["paths"]:
            remove(beside(Path(root), ending))
        if database:
            database.drop(ending)


def restore(settings, name, identity):
    """Puts a backup in place of what is on this host."""
    journal, backup = Path(settings["folder"]) / JOURNAL, find(settings, name)
    manifest = check(backup)
    fits(settings, backup, manifest, identity)
    roots = [Path(path) for path in manifest["paths"]]
    database = database_of(settings)
    put_right(settings, database)
    forget(settings, database, RESTORING, REPLACED)
    ask_for_space(
        [(root.parent, manifest["paths"][str(root)]) for root in roots]
        + ([(database.folder, manifest["database"]["bytes"])] if database else [])
    )
    try:
        part = next(backup.glob("files.tar.*"))
        with part.open("rb") as file, pipe(*unpacking(settings, identity, part), source=file) as stream:
            unpack(stream, roots)
        roles = database.load(backup, identity) if database else None
        begin(journal, roots)
        containers_rest(settings)
        for root in roots:
            exchange(root)
        if database:
            database.exchange(roles)
        on_signal(signal.SIG_IGN)  # it happened, and is brought to its end
    except BaseException:
        on_signal(signal.SIG_IGN)  # a second one must not stop what undoes it
        began = journal.exists()
        put_right(settings, database)
        forget(settings, database, RESTORING)
        if began:
            services_start(settings)
        raise
    journal.unlink()
    services_start(settings)
    if database:
        database.sign_in()
    forget(settings, database, REPLACED)


def end_from_outside(*_):
    """A signal ends the program as an error does: what was begun is undone."""
    sys.exit("flip-backup: ended from outside; nothing is left half done")


def on_signal(handler):
    """Says what a signal to end does from here on."""
    for ends in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ends, handler)


def main(arguments):
    """Entry point."""
    on_signal(end_from_outside)
    description, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="flip-backup", description=description, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="what to back up (default: %(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("now", help="make a backup")
    verbs.add_parser("list", help="show the backups on this host")
    verbs.add_parser("check", help="say whether a backup is whole").add_argument("name")
    restoring = verbs.add_parser("restore", help="put a backup in place of what is here")
    restoring.add_argument("name", help="a name that `list` shows, or a folder's path")
    restoring.add_argument("--identity", help="file with the private key that the backup was encrypted to")
    wanted = parser.parse_args(arguments)
    settings = json.loads(wanted.settings.read_text(encoding="utf-8"))
    folder = Path(settings["folder"])
    os.umask(0o077)
    if wanted.verb == "now":
        with alone(folder):
            made = back_up(settings)
        print(f"{made.name}: {size(made) >> 20} MiB")
    elif wanted.verb == "list":
        for path in complete(folder, "*"):
            about = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            print(f"{path.name}  release {about['release']}  host {about['host']}  {size(path) >> 20} MiB")
    elif wanted.verb == "check":
        manifest = check(find(settings, wanted.name))
        print(f"{wanted.name} is whole: {manifest['kind']} {manifest['host']}, release {manifest['release']}")
    else:
        with alone(folder):
            restore(settings, wanted.name, wanted.identity)
        print(f"{wanted.name} is restored")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (BackupError, OSError, json.JSONDecodeError) as error:
        sys.exit(f"flip-backup: {error}")

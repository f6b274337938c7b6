#!/usr/bin/env python3
"""Starts PostgreSQL over /data, making the cluster and one database the first time.

    flip-postgres --database omop --superuser flip_owner -- -c max_connections=100

The superuser's password is the first line of --password-file, read at the first start only; later ALTER ROLE changes
it. Everyone signs in by SCRAM, over TCP and over the socket in /tmp. What follows `--` goes to the server.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/usr/bin"))
MIN_PASSWORD = 16
NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class StartError(Exception):
    """It cannot start; the text says why and what to do."""


def read_password(path: Path) -> str:
    """The superuser's password.

    Raises:
        StartError: no such file, or too short a password.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StartError(f"--password-file {path}: {error.strerror}; mount it readable for uid {os.getuid()}") from None
    password = lines[0] if lines else ""
    if len(password) < MIN_PASSWORD:
        raise StartError(f"--password-file {path}: its first line needs {MIN_PASSWORD} characters or more")
    return password


def make_cluster(cluster: Path, superuser: str, password: str, database: str) -> None:
    """Makes the cluster beside its place and renames it, so that an interrupted first start leaves nothing half made.

    Raises:
        StartError: initdb or the making of the database failed; its output is on standard error.
    """
    made = cluster.with_name(f"{cluster.name}.making")
    shutil.rmtree(made, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir="/tmp", encoding="utf-8") as file:
        file.write(f"{password}\n")
        file.flush()
        run(
            "initdb", f"--pgdata={made}", f"--username={superuser}", f"--pwfile={file.name}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions",
        )  # fmt: skip
    hosts = made / "pg_hba.conf"
    hosts.write_text("local all all scram-sha-256\nhost all all all scram-sha-256\n", encoding="utf-8")
    run("postgres", "--single", "-D", str(made), "postgres", feed=f'CREATE DATABASE "{database}"\n')
    made.rename(cluster)


def run(program: str, *arguments: str, feed: str | None = None) -> None:
    """Runs one of PostgreSQL's programs.

    Raises:
        StartError: it failed.
    """
    done = subprocess.run([PROGRAMS / program, *arguments], input=feed, text=True, stdout=sys.stderr, check=False)
    if done.returncode:
        raise StartError(f"{program} ended with status {done.returncode}; what it says stands above")


def main(arguments: list[str]) -> None:
    """Entry point: becomes the server, or raises StartError."""
    parser = argparse.ArgumentParser(prog="flip-postgres", description="PostgreSQL for FLIP.")
    parser.add_argument("--database", default="omop", help="made at the first start")
    parser.add_argument("--superuser", default="flip_owner", help="made at the first start")
    parser.add_argument("--password-file", type=Path, default=Path("/config/password"))
    parser.add_argument("--data", type=Path, default=Path("/data"))
    parser.add_argument("server", nargs="*", help="after --: options of the server")
    wanted = parser.parse_args(arguments)
    for option in ("database", "superuser"):
        if not NAME.fullmatch(getattr(wanted, option)):
            raise StartError(f"--{option} {getattr(wanted, option)!r}: lower-case letters, digits and _, at most 63")
    cluster = wanted.data / "cluster"
    if not cluster.exists():
        make_cluster(cluster, wanted.superuser, read_password(wanted.password_file), wanted.database)
    # The image has no compiler for queries (LLVM, 110 MB); the readers' role turns it off anyway.
    fixed = ("listen_addresses=*", "unix_socket_directories=/tmp", "jit=off", "password_encryption=scram-sha-256")
    options = [word for setting in fixed for word in ("-c", setting)]
    os.execv(PROGRAMS / "postgres", [str(PROGRAMS / "postgres"), "-D", str(cluster), *options, *wanted.server])  # noqa: S606 - becomes it


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except StartError as error:
        sys.exit(f"flip-postgres: {error}")

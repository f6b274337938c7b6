"""A host's folders with what is backed up of them, and the program on it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from backup_program import FILES, backup


class Host:
    """A host's folders and its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, self.key = folder / "config", folder / "fl" / "site.key"
        (self.config / "secrets").mkdir(parents=True)
        self.key.parent.mkdir()
        (folder / "backup").mkdir()
        self.settings: dict[str, Any] = {
            "kind": "trust",
            "release": "0.1.0",
            "folder": str(folder / "backup"),
            "keep": 3,
            "recipient": "",
            "image": "",
            "database": None,
            "paths": [str(self.config), str(self.key), str(folder / "kit")],
            "units": [],
        }

    @property
    def file(self) -> Path:
        """The settings, written."""
        path = self.folder / "backup.json"
        path.write_text(json.dumps(self.settings))
        return path

    def command(self, *arguments: str) -> list[str]:
        """The program as it is called on a host."""
        return [sys.executable, str(FILES / "backup.py"), "--settings", str(self.file), *arguments]

    def call(self, *arguments: str) -> str:
        """Output of a call that has to end well."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """What a call says that has to be refused."""
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("flip-backup: "), done.stderr
        return done.stderr

    def back_up(self) -> Path:
        """Makes a backup; returns its folder."""
        name = self.call("now").splitlines()[-1].split(":")[0]
        return self.folder / "backup" / name

    def tree(self) -> dict[str, tuple[Any, ...]]:
        """All that is there, but for the backups."""
        found = {}
        for top in (self.config, self.key.parent, self.folder / "kit"):
            for path in [top, *sorted(top.rglob("*"))]:
                if path.exists() or path.is_symlink():
                    about = path.lstat()
                    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                    link = os.readlink(path) if path.is_symlink() else ""
                    found[str(path)] = (about.st_mode, about.st_uid, content, link)
        return found


def make_host(folder: Path) -> Host:
    """A host with a bit of everything."""
    made = Host(folder)
    (made.config / "secrets" / "omop_owner").write_text("geheim\n")
    (made.config / "secrets" / "omop_owner").chmod(0o600)
    (made.config / "large").write_bytes(random.Random(7).randbytes(3_000_000))
    (made.config / "current").symlink_to("secrets/omop_owner")
    os.link(made.config / "large", made.config / "second name")
    (made.config / "empty").mkdir(mode=0o750)
    made.key.write_text("key")
    return made


def change(host: Host) -> None:
    """Something happens on the host after its backup."""
    (host.config / "secrets" / "omop_owner").write_text("anders\n")
    (host.config / "new").write_text("new")
    (host.config / "large").unlink()
    host.key.write_text("another key")


def put(path: Path, mode: int, content: bytes, link: str) -> None:
    if link:
        path.unlink(missing_ok=True)
        path.symlink_to(link)
    elif mode & 0o170000 == 0o040000:
        path.mkdir(exist_ok=True)
        path.chmod(mode & 0o7777)
    else:
        path.write_bytes(content)
        path.chmod(mode & 0o7777)


def sum_up(made: Path) -> None:
    (made / "SHA256SUMS").unlink()
    lines = [f"{backup.sha256(path)}  {path.name}\n" for path in made.iterdir()]
    (made / "SHA256SUMS").write_text("".join(lines))

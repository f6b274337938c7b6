"""Folders and files with an owner and a mode: compared, and brought to what is wanted.

A file appears at once with all it should have, so that nobody reads a secret or half a file in between.
"""

import grp
import os
import pwd
import re
import shutil
import stat
from pathlib import Path


class TreeError(Exception):
    """It cannot be as wanted; the text names the path and the remedy, never what a file holds."""


def numbers(wanted):
    """User and group of a path, each given by number or name."""
    found = []
    known = {"owner": lambda name: pwd.getpwnam(name).pw_uid, "group": lambda name: grp.getgrnam(name).gr_gid}
    for kind, look in known.items():
        name = str(wanted[kind])
        try:
            found.append(int(name) if name.isdigit() else look(name))
        except KeyError:
            raise TreeError(f"{wanted['path']}: this host has no {kind} {name}; make it, or name another") from None
    return tuple(found)


def mode(wanted):
    """The mode's number. One that YAML took for a number would be another mode, so there must be four digits."""
    if not re.fullmatch("[0-7]{4}", wanted["mode"]):
        raise TreeError(f'{wanted["path"]}: mode {wanted["mode"]} must be four octal digits in quotes, such as "0750"')
    return int(wanted["mode"], 8)


def differs(path, wanted):
    """Whether a path is not there, or has another owner, group or mode."""
    about = path.stat()
    return (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) != (*numbers(wanted), mode(wanted))


def own(path, wanted):
    """Gives a path its owner, then its mode: in this order, since a change of owner takes bits away."""
    os.chown(path, *numbers(wanted))
    path.chmod(mode(wanted))


def folder(wanted, change):
    """Makes a folder, or puts its owner and mode right. Returns whether that was needed.

    An operator may put a link to a folder of another disk in its place.
    """
    path = Path(wanted["path"])
    if os.path.lexists(path) and not path.is_dir():
        raise TreeError(f"{path} is in the way: a folder belongs there; move it away")
    if path.exists() and not differs(path, wanted):
        return False
    if change:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        own(path, wanted)
    return True


def file(wanted, change):
    """Writes a file, if it is not as wanted. Returns whether that was needed."""
    path, content = Path(wanted["path"]), wanted["content"].encode()
    if path.is_dir() and not path.is_symlink():
        raise TreeError(f"{path} is in the way: a file belongs there; move it away")
    new = path.with_name(f".{path.name}.new")
    if change:
        new.unlink(missing_ok=True)  # of a run that was interrupted
    same = path.is_file() and not path.is_symlink() and path.read_bytes() == content
    if same and not differs(path, wanted):
        return False
    if change:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
            own(new, wanted)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    return True


def others(folders, paths):
    """What lies in folders beside the paths that belong there."""
    there = [path for name in folders if Path(name).is_dir() for path in Path(name).iterdir()]
    return sorted(str(path) for path in there if str(path) not in paths)


def remove(path):
    """Removes a file or a folder."""
    if Path(path).is_dir() and not Path(path).is_symlink():
        shutil.rmtree(path)
    else:
        Path(path).unlink()


def bring(folders, files, only, change):
    """Makes it all as wanted, or with `change` false only says what differs: the paths, each with what is wrong."""
    for wanted in (*folders, *files):
        mode(wanted)  # before anything is made
    found = [f"{wanted['path']} is made or put right" for wanted in folders if folder(wanted, change)]
    found += [f"{wanted['path']} is written" for wanted in files if file(wanted, change)]
    for path in others(only, {wanted["path"] for wanted in files}):
        found.append(f"{path} is removed")
        if change:
            remove(path)
    return found

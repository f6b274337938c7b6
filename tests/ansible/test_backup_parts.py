"""Parts of the backup program: what goes into an archive, and what a part passes on its way to the disk."""

import os
import sqlite3
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pyrage
import pytest
from backup_program import backup_files, backup_pipes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def test_a_database_that_is_never_let_go_is_told_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_files, "LOCKED_SECONDS", 0.1)
    path = tmp_path / "index"
    with sqlite3.connect(path) as owner:
        owner.execute("CREATE TABLE t (n)")
        owner.commit()
        owner.execute("PRAGMA locking_mode=EXCLUSIVE")
        owner.execute("INSERT INTO t VALUES (1)")
        owner.commit()  # and the lock stays, as Orthanc keeps it
        with pytest.raises(backup_pipes.BackupError, match="index is locked by the program that uses it"):
            backup_files.archive([path], BytesIO())
    owner.close()


def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    for name in ("etc/passwd", f"{tmp_path}/config/../../passwd"):
        with BytesIO() as stream:
            with tarfile.open(fileobj=stream, mode="w") as tar:
                tar.addfile(tarfile.TarInfo(name))
            stream.seek(0)
            with pytest.raises(backup_pipes.BackupError, match="none of"):
                backup_files.unpack(stream, [tmp_path / "config"])


def _ssh_key() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode(), secret.decode()


def _age_key() -> tuple[str, str]:
    key = pyrage.x25519.Identity.generate()
    return str(key.to_public()), f"# created today\n{key}\n"


@pytest.mark.parametrize("make", [_ssh_key, _age_key], ids=["ssh", "age"])
def test_what_is_sealed_opens_with_the_key_alone(tmp_path: Path, make: Any) -> None:
    (to, secret), (_, other) = make(), make()
    (tmp_path / "key").write_text(secret)
    (tmp_path / "other").write_text(other)
    with backup_pipes.pipe([sys.executable, "-c", backup_pipes.SEAL, to], source=_file(tmp_path)) as stream:
        sealed = stream.read()
    assert b"a record" not in sealed
    (tmp_path / "sealed").write_bytes(sealed)
    opening = [sys.executable, "-c", backup_pipes.OPEN]
    with (tmp_path / "sealed").open("rb") as file, backup_pipes.pipe([*opening, tmp_path / "key"], source=file) as end:
        assert end.read() == b"a record"
    with (
        pytest.raises(backup_pipes.BackupError, match="DecryptError"),
        (tmp_path / "sealed").open("rb") as file,
        backup_pipes.pipe([*opening, tmp_path / "other"], source=file),
    ):
        pass


def _file(folder: Path) -> Any:
    path = folder / "plain"
    path.write_bytes(b"a record")
    return os.open(path, os.O_RDONLY)


def test_the_command_that_failed_is_named_with_what_it_said() -> None:
    with (
        pytest.raises(backup_pipes.BackupError, match=r"ls ended with status 2: .*nowhere"),
        backup_pipes.pipe(("ls", "/nowhere"), ("cat",), source=subprocess.DEVNULL),
    ):
        pass

"""The embedded PostgreSQL: what is refused, and what the hub says about it."""

import os
import pwd
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from flip_common.keys import hash_api_key
from flip_hub.embedded import EmbeddedDatabaseError, database_url
from flip_hub.pgserver import let_through, new_server, package
from flip_hub.settings import HubSettings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL has a user of its own")


def settings(folder, **changes):
    return HubSettings(hub_data_dir=folder, internal_service_key_hash=hash_api_key("x"), **changes)


async def opened(of_settings):
    async with database_url(of_settings) as url:
        return url


async def test_a_given_database_is_used_as_it_is(tmp_path):
    assert await opened(settings(tmp_path, database_url="postgresql://u:p@db/flip")) == "postgresql://u:p@db/flip"
    assert list(tmp_path.iterdir()) == []


async def test_no_tcp_and_nobody_else_on_the_socket(open_folder):
    url = await opened(settings(open_folder))
    assert url == f"postgresql://postgres:@/flip_hub?host={open_folder}/postgres"
    assert stat.S_IMODE((open_folder / "postgres").stat().st_mode) == 0o700


async def test_a_path_too_long_for_a_socket_is_refused_with_the_remedy(tmp_path):
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    with pytest.raises(EmbeddedDatabaseError, match="choose a shorter HUB_DATA_DIR or set DATABASE_URL"):
        await opened(settings(deep))


async def test_a_damaged_folder_names_its_log(open_folder):
    await opened(settings(open_folder))
    (open_folder / "postgres" / "global" / "pg_control").write_bytes(b"damaged")
    with pytest.raises(EmbeddedDatabaseError, match=r"does not start .* see .*/postgres/log"):
        await opened(settings(open_folder))


def modes(*folders):
    return {folder: stat.S_IMODE(folder.stat().st_mode) for folder in folders}


def may_pass(user, folder):
    return not subprocess.run(["test", "-x", folder], user=user, check=False).returncode


@needs_root
@pytest.mark.parametrize("private", ["outer", "inner"])
async def test_private_folders_of_root_let_the_server_pass_and_nobody_else(open_folder, private, caplog):
    outer, inner = open_folder, open_folder / "inner"
    (inner / "hub").mkdir(parents=True)
    closed = {"outer": outer, "inner": inner}[private]
    closed.chmod(0o700)
    assert await opened(settings(inner / "hub"))
    assert may_pass("pgserver", closed)
    assert not may_pass("nobody", closed)
    assert subprocess.run(["ls", closed], user="pgserver", capture_output=True, check=False).returncode
    assert f"setfacl -x u:pgserver {closed}" in caplog.text
    caplog.clear()
    assert await opened(settings(inner / "hub"))
    assert "setfacl" not in caplog.text


@needs_root
def test_others_keep_the_rights_they_had(open_folder):
    pgserver, nobody = pwd.getpwnam("pgserver").pw_uid, pwd.getpwnam("nobody").pw_uid
    user_obj, user, group, mask, other, anyone = 1, 2, 4, 16, 32, 0xFFFFFFFF
    # The mask takes from nobody's entry all but reading.
    entries = [(user_obj, 7, anyone), (user, 7, nobody), (group, 7, anyone), (mask, 4, anyone), (other, 0, anyone)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(open_folder, "system.posix_acl_access", packed)
    assert not may_pass("nobody", open_folder)
    assert let_through(open_folder, "pgserver") is None
    assert may_pass("pgserver", open_folder)
    assert not may_pass("nobody", open_folder)
    assert not subprocess.run(["ls", open_folder], user="nobody", capture_output=True, check=False).returncode
    found = struct.unpack("<I" + "HHI" * 6, os.getxattr(open_folder, "system.posix_acl_access"))[1:]
    assert (user, 1, pgserver) in list(zip(*[iter(found)] * 3, strict=True))


@needs_root
async def test_open_folders_are_not_touched(open_folder):
    hub = open_folder / "hub"
    hub.mkdir()
    hub.chmod(0o711)
    programs = Path(package().__file__).parent
    above = [hub, open_folder, *open_folder.parents, programs, *programs.parents, programs / "pginstall18" / "lib"]
    before = modes(*above), [os.listxattr(folder) for folder in above]
    assert await opened(settings(hub))
    assert (modes(*above), [os.listxattr(folder) for folder in above]) == before
    assert modes(hub / "postgres") == {hub / "postgres": 0o700}


@needs_root
async def test_a_data_folder_of_somebody_else_is_not_opened(open_folder):
    hub = open_folder / "hub"
    hub.mkdir(mode=0o700)
    os.chown(hub, 65534, 65534)
    with pytest.raises(EmbeddedDatabaseError, match=f"{hub} is closed to pgserver"):
        await opened(settings(hub))
    assert modes(hub) == {hub: 0o700}


@needs_root
async def test_programs_out_of_reach_are_named(open_folder, monkeypatch):
    away = open_folder / "away"
    away.mkdir(mode=0o700)
    os.chown(away, 65534, 65534)
    monkeypatch.setitem(package().postgres_server.POSTGRES_VERSIONS, 18, away / "bin")
    (open_folder / "hub").mkdir()
    with pytest.raises(EmbeddedDatabaseError, match=f"{away} is closed to pgserver.*install FLIP outside of it"):
        await opened(settings(open_folder / "hub"))


def test_servers_of_two_users_share_no_file(open_folder):
    lock = Path(os.fsdecode(new_server(open_folder / "postgres")._lock.path))
    assert lock.parent == open_folder

"""The backup program on real files: what is restored is what was backed up, whatever happens in between."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backup_host import Host, change, sum_up
from backup_program import FILES, backup, backup_files

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd, which every FLIP host has")


def test_what_is_restored_is_what_was_backed_up(host: Host) -> None:
    before = host.tree()
    made = host.back_up()
    assert stat_mode(made) == 0o700
    change(host)
    assert host.tree() != before
    host.call("restore", made.name)
    assert host.tree() == before
    assert sorted(path.name for path in host.folder.iterdir()) == ["backup", "backup.json", "config", "fl"]
    assert sorted(path.name for path in (host.folder / "backup").iterdir()) == [".lock", made.name]


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_restored_on_another_host_that_has_less(host: Host, tmp_path: Path) -> None:
    before, made = host.tree(), host.back_up()
    shutil.copytree(made, tmp_path / "carried")
    for gone in (host.config, host.key, made):
        backup_files.remove(gone)
    host.call("restore", str(tmp_path / "carried"))
    assert host.tree() == before


def test_a_database_in_use_is_copied_as_of_one_moment(host: Host) -> None:
    path = host.config / "index"
    with sqlite3.connect(path) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (n)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed
        assert (host.config / "index-wal").stat().st_size
        made = host.back_up()
        writer.rollback()
    writer.close()
    host.call("restore", made.name)
    assert [found.name for found in host.config.glob("index*")] == ["index"], "the copy needs no journal"
    with sqlite3.connect(path) as reader:
        assert reader.execute("SELECT n FROM t").fetchall() == [(1,)]
    reader.close()


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda made: _flip_a_byte(made / "files.tar.zst"), "files.tar.zst is not as SHA256SUMS says"),
        (lambda made: (made / "files.tar.zst").unlink(), "files.tar.zst is not as SHA256SUMS says"),
        (lambda made: (made / "more").touch(), "more is not as SHA256SUMS says"),
        (lambda made: _flip_a_byte(made / "manifest.json"), "manifest.json is not as SHA256SUMS says"),
        (lambda made: (made / "SHA256SUMS").unlink(), "is damaged: SHA256SUMS"),
        (lambda made: (made / "SHA256SUMS").write_text("nothing"), "is damaged: SHA256SUMS"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_touched(host: Host, damage: Any, says: str) -> None:
    made = host.back_up()
    damage(made)
    change(host)
    before = host.tree()
    assert says in host.refused("check", made.name)
    assert says in host.refused("restore", made.name)
    assert host.tree() == before


def test_a_whole_one_is_said_to_be_whole(host: Host) -> None:
    made = host.back_up()
    assert f"{made.name} is whole: trust" in host.call("check", made.name)
    assert f"{made.name}  release 0.1.0" in host.call("list")
    assert made.name in host.refused("check", "trust-20200101T000000Z")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("release", "0.2.0", "is of release 0.1.0, this host of 0.2.0"),
        ("kind", "hub", "is of kind trust, this host of hub"),
        ("paths", [], "which this host does not back up"),
        ("database", {"name": "omop"}, "has database None, this host omop"),
    ],
)
def test_a_backup_of_another_kind_of_host_is_refused(host: Host, name: str, value: Any, says: str) -> None:
    made = host.back_up()
    host.settings[name] = value
    before = host.tree()
    assert says in host.refused("restore", made.name)
    assert host.tree() == before


def test_a_host_that_was_not_prepared_is_refused(host: Host) -> None:
    made = host.back_up()
    shutil.rmtree(host.key.parent)
    assert "run the site's playbook on this host first" in host.refused("restore", made.name)


def test_a_part_that_cannot_be_opened_leaves_all_as_it_was(host: Host) -> None:
    made = host.back_up()
    (made / "files.tar.zst").rename(made / "files.tar.zst.age")
    sum_up(made)
    before = host.tree()
    assert "give the key it was encrypted to" in host.refused("restore", made.name)
    (made / "files.tar.zst.age").rename(made / "files.tar.zst")
    (made / "files.tar.zst").write_bytes((made / "files.tar.zst").read_bytes()[:1_000_000])
    sum_up(made)
    assert "zstd ended with status" in host.refused("restore", made.name)
    assert host.tree() == before
    assert not list(host.folder.glob("*.restoring"))


@pytest.mark.parametrize("kit", [True, False], ids=["over one that is there", "where there is none"])
def test_an_exchange_that_fails_is_undone(host: Host, *, kit: bool) -> None:
    made = host.back_up()
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["paths"][str(host.folder / "kit")] = 0  # and the archive has none
    (made / "manifest.json").write_text(json.dumps(manifest))
    sum_up(made)
    change(host)
    if kit:
        (host.folder / "kit").mkdir()
    before = host.tree()
    assert "kit.restoring" in host.refused("restore", made.name)
    assert host.tree() == before
    assert not [path for path in host.folder.rglob("*") if path.name.endswith((".restoring", ".replaced"))]
    assert not (host.folder / "backup" / ".restoring.json").exists()


def test_the_oldest_are_forgotten_and_only_when_a_new_one_is_complete(host: Host) -> None:
    folder = host.folder / "backup"
    for day in range(1, 6):
        (folder / f"trust-2020010{day}T000000Z").mkdir()
    (folder / ".trust-20200106T000000Z.part").mkdir()
    (host.config / "sparse").touch()
    os.truncate(host.config / "sparse", 1 << 42)  # larger than any disk here
    assert "make room" in host.refused("now")
    assert len(list(folder.glob("trust-*"))) == 5
    (host.config / "sparse").unlink()
    made = host.back_up()
    left = sorted(path.name for path in folder.iterdir())
    assert left == [".lock", "trust-20200104T000000Z", "trust-20200105T000000Z", made.name]


def test_a_backup_that_fails_leaves_nothing(host: Host) -> None:
    done = subprocess.run(host.command("now"), capture_output=True, text=True, check=False, env={"PATH": "/nowhere"})
    assert done.returncode == 1
    assert "zstd" in done.stderr
    assert [path.name for path in (host.folder / "backup").iterdir()] == [".lock"]


def test_what_is_not_there_is_said(host: Host) -> None:
    assert f"not there, and so not in this backup: {host.folder}/kit" in host.call("now")


def test_one_at_a_time(host: Host) -> None:
    with backup.alone(host.folder / "backup"):
        assert "another backup or restore runs" in host.refused("now")


def test_help_shows_an_example() -> None:
    done = subprocess.run([sys.executable, FILES / "backup.py", "--help"], capture_output=True, text=True, check=True)
    assert "flip-backup restore trust-20260301T023000Z --identity" in done.stdout

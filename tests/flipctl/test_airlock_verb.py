"""`flipctl airlock pack` from this checkout: what it packs, and what it says where it cannot."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from airlock import make_key, signer

from flipctl.airlock_pack import PROGRAM


def pack(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """The verb, without images and packages; they are packed where there are an engine and a mirror."""
    given = [f"--sign={folder / 'key'}", f"--out={folder / 'out'}", f"--store={folder / 'store'}", *options]
    command = [sys.executable, "-c", "from flipctl.cli import main; main()", "airlock", "pack", *given]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key to sign with."""
    make_key(tmp_path / "key")
    return tmp_path


def test_the_playbook_is_packed_and_the_program_beside_it_checks_it(folder: Path) -> None:
    done = pack(folder, "--image=none", "--suite=none", "--json")
    assert done.returncode == 0, done.stderr
    paths = {each["path"] for each in json.loads(done.stdout)["files"]}
    assert {"playbook/ansible/site_local_trust.yml", "playbook/ansible/ansible.cfg", "playbook/LICENSE"} <= paths
    assert not [path for path in paths if "molecule" in path or "inventories/local" in path]
    (folder / "signers").write_text(signer("release@flip", folder / "key"))
    program = [sys.executable, "-I", str(folder / "out" / PROGRAM), "verify", str(folder / "out")]
    said = subprocess.run([*program, "--signers", str(folder / "signers")], capture_output=True, text=True, check=False)
    assert "all files are as signed" in said.stdout, said.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--image=hubb"], "hubb: no such image; there are hub, trust-api"),
        (["--image=none", "--suite=sid"], "--suite sid: none of bookworm, trixie, jammy, noble"),
        (["--image=none", "--suite=none", "--for={folder}/inventory"], "--for needs --sites"),
        (["--image=none", "--suite=none", "--files={folder}/files"], "holds what is no plain file: link"),
    ],
)
def test_what_cannot_be_packed_is_said(folder: Path, options: list[str], says: str) -> None:
    (folder / "inventory").touch()
    (folder / "files").mkdir()
    (folder / "files" / "link").symlink_to("nowhere")
    done = pack(folder, *(option.format(folder=folder) for option in options))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert not (folder / "out").exists()


def test_a_size_that_is_none(folder: Path) -> None:
    done = pack(folder, "--segment-size=big")
    assert done.returncode == 2
    assert "a size is a number with K, M or G" in " ".join(done.stderr.split())


def test_where_its_libraries_are_not_installed_it_says_so_and_the_rest_works(folder: Path) -> None:
    """As in an image, which has flipctl and packs nothing."""
    without = "import sys; sys.modules['backports'] = None; from flipctl.cli import main; main()"
    given = ["airlock", "pack", f"--sign={folder / 'key'}", f"--out={folder / 'out'}"]
    done = subprocess.run([sys.executable, "-c", without, *given], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "packing needs a checkout with its packages (backports is missing): make setup" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", without, "airlock", "verify", "--help"], capture_output=True, text=True, check=False
    )
    assert "Example: flipctl airlock verify" in done.stdout

"""A site: its key, what its apps are told, what it ends, the app whose answer it waits for."""

import asyncio
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from fl_site_parts import SLEEP, child, env_file, site_environment, until

from flip_fl.flower import internals, supernode
from flip_fl.flower.files import RunFiles
from flip_fl.flower.site import Site, app_environment
from flip_fl.settings import SiteSettings
from flip_fl.site_key import ensure_site_key


@pytest.fixture
def site_env(tmp_path: Path) -> dict[str, str]:
    return site_environment(tmp_path)


def test_the_sites_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "site.key"
    public = ensure_site_key(path)
    assert public.startswith(b"ecdsa-sha2-nistp384 ")
    assert ensure_site_key(path) == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "site.key.pub").read_bytes().strip() == public
    # One key, however it is written.
    pem = serialization.load_ssh_public_key(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert internals.normalise_public_key(pem) == internals.normalise_public_key(public + b" comment")


def test_the_command_prints_the_public_half_and_makes_no_second_pair(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flip_fl.site_key", str(tmp_path / "site.key")]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout == (tmp_path / "site.key.pub").read_text()
    assert "PRIVATE" not in first.stdout + first.stderr


def test_an_app_is_told_what_it_needs(tmp_path: Path, site_env: dict[str, str]) -> None:
    environment = app_environment(SiteSettings.load(env_file(tmp_path / "env", site_env)))
    assert {name: environment[name] for name in ("SUPERNODE_NAME", "DATA_ACCESS_API_URL")} == {
        "SUPERNODE_NAME": "Trust_A",
        "DATA_ACCESS_API_URL": "http://127.0.0.1:8010",
    }
    assert environment["TRUST_INTERNAL_SERVICE_KEY"] == "flip_trust_key_0123456789"
    assert not [name for name in environment if name.startswith("FL_")]


@pytest.mark.flower
async def test_a_site_ends_what_it_started_and_what_was_left(tmp_path: Path, site_env: dict[str, str]) -> None:
    client = Site(SiteSettings.load(env_file(tmp_path / "env", site_env)))
    runs = RunFiles(tmp_path / "site" / "runs", 5)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        runs.add_process(identity)
        stop = asyncio.Event()
        running = asyncio.create_task(client.run_until(stop))
        await until(lambda: client.supernode.pid and client.superexec.pid)
        assert process.wait(5) == -9
        stop.set()
        await running
    assert client.supernode.pid is None
    assert client.superexec.pid is None
    assert not list((tmp_path / "site" / "runs").glob("*.process"))


class Pending:
    """A message whose answer a SuperNode waits for."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.run_id, self.answers, self.given_up = 3, list(answers), threading.Event()

    def run_ended(self) -> bool:
        """The answers in turn, the last one for ever."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give_up(self) -> None:
        """The SuperNode may go on."""
        self.given_up.set()


def test_the_app_of_a_run_that_ended_is_ended(tmp_path: Path) -> None:
    pending = Pending(httpx.ConnectError("away"), False, True)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        RunFiles(tmp_path, 3).add_process(identity)
        watched = supernode.watch_app(tmp_path, 0.02)
        watched(pending, lambda: None if pending.given_up.wait(10) else pytest.fail("not given up"))
        assert process.wait(5) == -9


def test_an_app_that_died_is_given_up(tmp_path: Path) -> None:
    pending = Pending(False)
    with child(f"print('up', flush=True); {SLEEP}") as (process, identity):
        RunFiles(tmp_path, 3).add_process(identity)

        def wait() -> None:
            time.sleep(0.2)
            assert not pending.given_up.is_set()
            process.kill()
            process.wait()
            assert pending.given_up.wait(10)

        supernode.watch_app(tmp_path, 0.02)(pending, wait)


def test_an_answer_ends_the_watch(tmp_path: Path) -> None:
    pending = Pending(False)
    supernode.watch_app(tmp_path, 0.02)(pending, lambda: None)
    time.sleep(0.2)
    assert not pending.given_up.is_set()


def test_a_supernode_that_gives_up_ends_whatever_threads_it_has(tmp_path: Path) -> None:
    """Flower's SuperNode raises when the TLS handshake breaks off, and leaves the thread of its API running."""
    program = """
import threading, time
from pathlib import Path
from flip_fl.flower import internals, supernode

def gives_up(*_):
    threading.Thread(target=time.sleep, args=(300,)).start()
    raise ConnectionError("TLS/SSL connection has been closed (EOF)")

internals.run_supernode = gives_up
here = Path(".")
supernode.main("fl.example.org:9092", here, here, "Trust_A", 1, here, here)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the SuperNode gave up" in done.stdout + done.stderr
    assert "has been closed (EOF)" in done.stdout + done.stderr

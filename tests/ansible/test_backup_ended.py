"""A restore that is ended in its middle: by a kill, a signal at any line, or a power cut."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from backup_host import Host, change, put, sum_up
from backup_program import FILES, backup_files

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd, which every FLIP host has")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_a_restore_that_is_interrupted_anywhere_is_completed_by_the_next(host: Host, how: signal.Signals) -> None:
    backed_up, made = host.tree(), host.back_up()
    change(host)
    changed = host.tree()
    began = time.monotonic()
    host.call("restore", made.name)
    lasted = time.monotonic() - began
    for share in range(10):
        shutil.rmtree(host.config)
        for path, (mode, _, content, link) in changed.items():
            put(Path(path), mode, content, link)
        process = subprocess.Popen(host.command("restore", made.name), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(lasted * share / 10)  # anywhere in it
        process.send_signal(how)
        process.communicate()
        if how is signal.SIGTERM:
            assert host.tree() in (changed, backed_up)
        host.call("restore", made.name)
        assert host.tree() == backed_up
        assert not [*host.folder.rglob("*.restoring"), *host.folder.rglob("*.replaced")]


SIGNALLED = """
import os, signal, sys
import backup

def signal_at(name, once_more=None):
    call = getattr(backup, name)
    def signalling(*given):
        if once_more:
            signal_at(once_more)
        os.kill(os.getpid(), signal.SIGTERM)
        call(*given)
        os.kill(os.getpid(), signal.SIGHUP)
    setattr(backup, name, signalling)

first, then = sys.argv.pop(1), sys.argv.pop(1)
signal_at(first, then)
backup.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("step", "happened"), [("unpack", False), ("containers_rest", False), ("exchange", False), ("services_start", True)]
)
def test_a_signal_finds_it_undone_or_done(host: Host, step: str, *, happened: bool) -> None:
    """A second one comes while it is undone, or while what was replaced is removed."""
    backed_up, made = host.tree(), host.back_up()
    change(host)
    before = host.tree()
    arguments = [step, "forget" if happened else "put_right", *host.command("restore", made.name)[2:]]
    program = [sys.executable, "-c", SIGNALLED, *arguments]
    done = subprocess.run(program, cwd=FILES, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is happened, done.stderr
    assert ("nothing is left half done" in done.stderr) is not happened
    assert host.tree() == (backed_up if happened else before)


SIGNALLED_IN = """
import os, signal, sys
import backup

name, line = sys.argv.pop(1), int(sys.argv.pop(1))

def at_line(frame, event, _):
    global line
    if frame.f_code.co_name != name:
        return None
    line -= event == "line"
    if event == "line" and not line:
        os.kill(os.getpid(), signal.SIGTERM)
    return at_line

sys.settrace(at_line)
backup.main(sys.argv[1:])
"""


@pytest.mark.parametrize("step", ["restore", "begin", "exchange", "forget"])
def test_a_signal_at_any_line_finds_it_undone_or_done(host: Host, step: str) -> None:
    backed_up, made = host.tree(), host.back_up()
    change(host)
    before = host.tree()
    for line in range(1, 100):
        arguments = [sys.executable, "-c", SIGNALLED_IN, step, str(line), *host.command("restore", made.name)[2:]]
        done = subprocess.run(arguments, cwd=FILES, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        assert "nothing is left half done" in done.stderr, f"line {line} of {step}: {done.stderr}"
        assert host.tree() == before, f"line {line} of {step}"
    assert line > 3
    assert host.tree() == backed_up


@pytest.mark.parametrize("exchanged", [0, 1, 2])
def test_an_unfinished_exchange_is_undone_first(host: Host, exchanged: int) -> None:
    """As a power cut leaves it: some names are exchanged, the journal is there. Then a restore that fails."""
    made = host.back_up()
    (made / "files.tar.zst").write_bytes((made / "files.tar.zst").read_bytes()[:1_000_000])
    sum_up(made)
    roots = [host.config, host.key, host.folder / "kit"]
    before = host.tree()
    journal = host.folder / "backup" / ".restoring.json"
    shutil.copytree(host.config, backup_files.beside(host.config, "restoring"), symlinks=True)
    (backup_files.beside(host.config, "restoring") / "restored").touch()
    backup_files.beside(host.key, "restoring").write_text("restored")
    (host.folder / "kit.restoring").mkdir()
    journal.write_text(json.dumps({str(root): root.exists() for root in roots}))
    for root in roots[: exchanged + 1]:
        backup_files.exchange(root)
    assert "zstd ended" in host.refused("restore", made.name)
    assert host.tree() == before
    assert not journal.exists()

"""`flipctl demo` as a user runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.federation, pytest.mark.timeout(900)]
DEMO = [str(Path(sys.executable).with_name("flipctl")), "demo"]


def still_running(folder: Path) -> list[str]:
    """Processes that work in or for this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.pid != psutil.Process().pid:
            found.append(line)
    return found


def test_everything_holds(demo_folder: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--folder", str(demo_folder), "--json"], capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"]
    assert len(report["checks"]) == 6
    assert (demo_folder / "results" / "final.npz").exists()
    assert "left over" not in done.stderr
    assert still_running(demo_folder) == []


def test_ctrl_c_ends_every_process(demo_folder: Path) -> None:
    # What a shell starts in the background has Ctrl-C ignored, and so would the demo.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    demo = subprocess.Popen(
        [*DEMO, "--folder", str(demo_folder), "--patients", "12"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert demo.stderr is not None
    for line in demo.stderr:
        if "researcher asks for cohorts" in line:
            break
    assert len(still_running(demo_folder)) > 10
    demo.send_signal(signal.SIGINT)
    rest = demo.stderr.read()
    assert demo.wait(60) == 130, rest
    assert "every process was ended" in rest
    assert still_running(demo_folder) == []
    demo.stderr.close()

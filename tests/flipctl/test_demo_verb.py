"""`flipctl demo` before anything is started: one at a time in a folder."""

import os
from pathlib import Path

import pytest

from flipctl.demo.play import DemoError
from flipctl.demo.progress import Progress
from flipctl.demo.run import _alone, run


def test_a_second_demo_leaves_the_first_ones_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with _alone(tmp_path):
        with pytest.raises(DemoError, match=rf"a demo runs in {tmp_path} \(process {os.getpid()}\); end it, or give"):
            run(tmp_path, 12, 2, False, Progress(), lambda _: None)
        assert (tmp_path / "hub").is_dir()
    with _alone(tmp_path):
        assert (tmp_path / "demo.lock").read_text() == f"{os.getpid()}\n"

"""A whole federation on this machine: a hub, an FL server and two trusts, started once for a module."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flipctl.data import generate
from flipctl.demo.play import People
from flipctl.demo.progress import Progress
from flipctl.demo.stack import START_SECONDS, Stack
from flipctl.processes import Processes

TRUSTS = ("Trust_1", "Trust_2")
PATIENTS = 12


@dataclass(frozen=True)
class Federation:
    """The processes, and the people who use them."""

    stack: Stack
    people: People


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    """Two trusts with twelve labelled patients each, online and with accounts for everyone."""
    with (
        open_folder() as folder,
        Processes(folder / "logs") as processes,
        Stack(folder, processes, TRUSTS) as stack,
    ):
        manifest = generate(folder / "data", TRUSTS, PATIENTS)
        stack.start_hub()
        people = People(stack.sign_in_admin(), stack.api_url, Progress())
        kits = {name: people.register_trust(name) for name in TRUSTS}
        people.make_accounts()
        for name in TRUSTS:
            stack.start_trust(name, kits[name], manifest, folder / "data")
        people.wait_for_trusts(START_SECONDS)
        yield Federation(stack, people)
        people.close()


@pytest.fixture
def demo_folder() -> Iterator[Path]:
    """A folder for a demo of its own."""
    with open_folder() as folder:
        yield folder / "demo"


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL can enter: started by root it runs as a user of its own, and pytest's are closed."""
    with tempfile.TemporaryDirectory(prefix="flip-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder

"""What the verbs of `flipctl images` share while they work."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from flipctl.images_list import ImagesError
from flipctl.output import fail


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error: one line that changes on a terminal, one line a job elsewhere."""
    screen = Console(stderr=True, highlight=False, markup=False)
    if not screen.is_terminal:
        screen.print(title)
        yield lambda step: None
        return
    with screen.status(title) as status:
        yield lambda step: status.update(f"{title}: {step}"[: screen.width - 3])


@contextmanager
def errors() -> Iterator[None]:
    """Ends the verb with the reason, where there is one."""
    try:
        yield
    except ImagesError as error:
        fail(str(error))


def revision(root: Path) -> str:
    """The commit, `-changed` appended if files differ from it; `unknown` outside of git."""
    answers = []
    for question in (["rev-parse", "HEAD"], ["status", "--porcelain"]):
        try:
            done = subprocess.run(["git", "-C", str(root), *question], capture_output=True, text=True, check=True)  # noqa: S607 - the user's git, by PATH
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
        answers.append(done.stdout.strip())
    return answers[0] + ("-changed" if answers[1] else "")

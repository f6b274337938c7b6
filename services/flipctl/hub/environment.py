"""One deployment, such as stag or prod: its name, and the folder in which its stacks are worked on."""

import fcntl
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from flipctl.hub import HubError

SOURCES = Path(__file__).resolve().parents[3] / "infra/tofu"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,8}[a-z0-9]")
_held: dict[Path, TextIO] = {}  # locks of this process, which end with it


@dataclass(frozen=True)
class Environment:
    """A name that `Environment.named` has checked, and the folder of that environment."""

    name: str
    folder: Path

    @classmethod
    def named(cls, name: str, folder: Path) -> "Environment":
        """The environment of this name; `folder` has one for each.

        Raises:
            HubError: no environment can have such a name.
        """
        if not _NAME.fullmatch(name):
            raise HubError(
                f"{name} is no environment's name: 2 to 10 lower-case letters, digits and hyphens, "
                "beginning with a letter, such as stag or prod"
            )
        return cls(name, folder.resolve() / name)

    @property
    def backend_file(self) -> Path:
        """What every stack but the bootstrap is initialised with."""
        return self.folder / "backend.tfbackend"

    def working_copy(self, stack: str, values: Path | None) -> Path:
        """Copies a stack and the modules, so that environments share no file and the checkout stays as it is.

        Returns the stack's folder. What OpenTofu keeps there stays; what a release before had is removed.

        Raises:
            HubError: there are no values for the environment, or another process works there.
        """
        given = values or SOURCES / "stacks" / stack / f"{self.name}.tfvars"
        if not given.is_file():
            raise HubError(f"{given} does not exist; copy {given.parent / 'example.tfvars'} there and fill it in")
        self._claim()
        copy = self.folder / "tofu"
        for path in [copy / "modules", *(copy / "stacks" / stack).glob("*")]:
            if path.is_dir() and path.name != ".terraform":
                shutil.rmtree(path)
            elif path.suffix in (".tf", ".tofu"):
                path.unlink()
        for part in ("modules", f"stacks/{stack}"):
            shutil.copytree(
                SOURCES / part, copy / part, ignore=shutil.ignore_patterns(".terraform*"), dirs_exist_ok=True
            )
        # In this order, the latter counts: nobody applies stag with the name of prod in its values.
        shutil.copyfile(given, copy / "stacks" / stack / "1-values.auto.tfvars")
        (copy / "stacks" / stack / "2-environment.auto.tfvars.json").write_text(json.dumps({"environment": self.name}))
        return copy / "stacks" / stack

    def _claim(self) -> None:
        """Keeps other processes out of the folder: each would copy a stack over the one that runs."""
        if self.folder in _held:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise HubError(
                f"another `flipctl hub` works with {self.name} in {self.folder.parent}; wait until it has ended"
            ) from None
        _held[self.folder] = lock

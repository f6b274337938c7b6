"""`flip-airlock.pyz`: what a bare host runs with nothing but Python, in one file that travels beside the segments."""

import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path

import flip_airlock
from flip_airlock import AirlockError

LIBRARIES = ("click", "typer", "typing_extensions")
START = "from flip_airlock.cli import main\n\nmain()\n"
SHEBANG = b"#!/usr/bin/env python3\n"
DATE = (1980, 1, 1, 0, 0, 0)  # the first that the format knows


def write_program(target: Path) -> None:
    """Writes the program. The same versions make the same bytes: members in order, not compressed, of one date."""
    members = {"__main__.py": START.encode(), **dict(_own()), **dict(_libraries())}
    with target.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                archive.writestr(zipfile.ZipInfo(name, DATE), members[name])
    target.chmod(0o755)


def _own() -> Iterator[tuple[str, bytes]]:
    root = Path(flip_airlock.__file__).parent
    for path in root.glob("*.py"):
        yield f"{root.name}/{path.name}", path.read_bytes()


def _libraries() -> Iterator[tuple[str, bytes]]:
    for library in LIBRARIES:
        for file in importlib.metadata.files(library) or ():
            path = Path(str(file.locate()))
            if file.suffix == ".py" or "licenses" in file.parts:
                if not path.is_file():
                    raise AirlockError(f"{path} of {library} is missing; set the environment up again (make setup)")
                yield file.as_posix(), path.read_bytes()

"""Writes the requirements of each extra of a pyproject.toml into a file of its own, for pip in image builds.

    python3 requirements.py pyproject.toml SDK/pyproject.toml FOLDER

FOLDER/core.txt: the distribution's own; FOLDER/sdk.txt: the SDK's; FOLDER/<extra>.txt: an extra's, those it names
of this distribution included.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(project: dict, extra: str) -> list[str]:
    """What an extra needs; `name[a,b]` of the distribution itself is followed.

    Raises:
        KeyError: there is no such extra.
    """
    found: list[str] = []
    for item in project["optional-dependencies"][extra]:
        own = re.fullmatch(rf"{re.escape(project['name'])}\[([^\]]+)\]", item)
        if own:
            found += [inner for name in own[1].split(",") for inner in requirements(project, name.strip())]
        else:
            found.append(item)
    return sorted(set(found))


def main(platform: Path, sdk: Path, folder: Path) -> None:
    """Writes the files."""
    folder.mkdir(parents=True, exist_ok=True)
    project = tomllib.loads(platform.read_text(encoding="utf-8"))["project"]
    lists = {extra: requirements(project, extra) for extra in project["optional-dependencies"]}
    lists["core"] = project["dependencies"]
    lists["sdk"] = tomllib.loads(sdk.read_text(encoding="utf-8"))["project"]["dependencies"]
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))

"""Names of files in an app: what is safe on every file system, and what hides a module that others need."""

import sys
import unicodedata
from collections.abc import Iterable

from flip_common.appcheck.report import Collector, Limits

PLATFORM_MODULES = frozenset({"flip", "flwr"})
# What the images for FL clients and servers hold besides the standard library.
SITE_PACKAGES = frozenset(
    {"flip", "flwr", "httpx", "nibabel", "numpy", "pandas", "pydicom", "scipy", "torch", "tomlkit", "tqdm"}
)
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
)
_FORBIDDEN = frozenset('\\:*?"<>|')


def check_path(name: str, limits: Limits, found: Collector) -> bool:
    """Whether `name` is a plain relative path with '/' between its parts; reports why not."""
    problem = _problem(name, limits)
    if problem is None:
        return True
    code, text = problem
    found.error(code, f"{name[: limits.path_chars]!r} {text}")
    return False


def _problem(name: str, limits: Limits) -> tuple[str, str] | None:
    parts = name.rstrip("/").split("/")
    if name.startswith("/") or name[1:2] == ":":
        return "absolute-path", "is an absolute path; pack the app from inside its folder"
    if ".." in parts:
        return "climbing-path", "climbs out of the app; remove '..' from the name"
    if len(name) > limits.path_chars or len(parts) > limits.depth:
        return "odd-name", f"is longer than {limits.path_chars} characters or deeper than {limits.depth} folders"
    if not all(_plain(part) for part in parts):
        return "odd-name", "is not a name every system can store; use letters, digits, '_', '-' and '.'"
    return None


def _plain(part: str) -> bool:
    odd = any(unicodedata.category(char)[0] == "C" or char in _FORBIDDEN for char in part)
    trimmed = part.strip(" ") == part and not part.endswith(".")
    return (
        bool(part)
        and part != "."
        and not odd
        and trimmed
        and part.split(".", maxsplit=1)[0].lower() not in _WINDOWS_DEVICES
    )


def check_collisions(names: Iterable[str], found: Collector) -> None:
    """Reports names that are one file on some system (case, Unicode forms), or a file and a folder at once."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = _key(name.rstrip("/"))
        parents = [key.rsplit("/", n)[0] for n in range(1, key.count("/") + 1)]
        folders.update(dict.fromkeys(parents, name))
        if name.endswith("/"):
            folders.setdefault(key, name)
        elif key in files:
            found.error("name-collision", f"{files[key]!r} and {name!r} are one file on some systems; rename one")
        else:
            files[key] = name
    for key in files.keys() & folders.keys():
        found.error("name-collision", f"{files[key]!r} is a file and, for {folders[key]!r}, a folder; rename one")


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_shadowing(names: Iterable[str], packages: frozenset[str], found: Collector) -> None:
    """Reports top-level modules of the app that would hide the platform's, Python's or a library's own."""
    for name in sorted({name for name in names if "/" in name or name.endswith(".py")}):
        top, _, rest = name.partition("/")
        module = _key(top.removesuffix(".py"))
        if not rest.endswith(".py") and not top.endswith(".py"):
            continue
        if module in PLATFORM_MODULES | packages | sys.stdlib_module_names:
            found.error("shadows-module", f"hides the module {module!r} that others import; rename it", name)

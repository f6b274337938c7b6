"""Env files: `NAME=value` lines, written so that they give back any value as it is.

They are read as python-dotenv reads them but for `${...}`, which is left as it is.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_UNFIT = re.compile(r"[\r\n\0]")


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an env file; of a name that stands there twice the last value.

    Without quotes a value ends before ` #`; in double quotes a backslash escapes; in single quotes it does so before a
    quote and a backslash only. `${NAME}` is no reference to a variable.

    Raises:
        ValueError: a line that is no `NAME=value`, or a file that is not UTF-8; no value is in the text.
        OSError: the file cannot be read.
    """
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    for binding in bindings:
        if binding.error:
            raise ValueError(f"{path}, line {binding.original.line}: cannot be read; write NAME=value, close quotes")
        if binding.key is None:
            continue  # a comment, or an empty line
        if binding.value is None:
            raise ValueError(f"{path}: {binding.key!r} has no value; write NAME=value")
        values[binding.key] = binding.value
    return values


def check_name(name: str) -> None:
    """Refuses what is no variable's name.

    Raises:
        ValueError: with the remedy.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no variable name; use capitals, digits and _")


def env_text(values: Mapping[str, str]) -> str:
    """The text of an env file that gives these values back, whatever is in them.

    Raises:
        ValueError: a value that is no single line of text; the value is not in the text.
    """
    for name, value in values.items():
        if _UNFIT.search(value):
            raise ValueError(f"the value of {name} has a line break or a NUL in it; leave it out")
    return "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    """In single quotes only the quote itself and a backslash mean anything else than themselves."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""Env files: `NAME=value` lines, read as python-dotenv reads them but for `${...}`, which is left as it is."""

from pathlib import Path

from dotenv.parser import parse_stream


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

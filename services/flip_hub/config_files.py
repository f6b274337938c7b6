"""What a task needs before its main container starts, brought from AWS into a folder: an env file, and files.

The env file is the last to appear: where it is, all the rest is, of the same run.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flip_common.envfile import check_name, env_text
from flip_common.logs import register_secrets
from flip_hub import aws

ENV_FILE = "service.env"
MAX_BYTES = 1 << 20
"""Largest object; a secret has 64 KiB at most."""
_FILL = "put a value into it: aws secretsmanager put-secret-value --secret-id '{}' --secret-string file://FILE"
_ABSENT = frozenset({"ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "404"})
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SECRET = re.compile(r"(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@!-]{1,519}")
_OBJECT = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^\x00-\x1f]{1,1024})")


class ConfigError(Exception):
    """What is not as it must be: a line each, with the remedy and without any value of a secret."""


@dataclass(frozen=True)
class Wanted:
    """What comes from where: settings and files from secrets, files from objects of S3."""

    settings: Mapping[str, str]
    files: Mapping[str, str]
    objects: Mapping[str, str]

    @classmethod
    def of(cls, settings: Sequence[str], files: Sequence[str], objects: Sequence[str]) -> "Wanted":
        """From `NAME=SECRET` and `NAME=s3://BUCKET/KEY`.

        Raises:
            ConfigError: a name or a source that is none, or a name given twice.
        """
        problems: list[str] = []
        wanted = cls(
            _pairs("--setting", settings, check_name, _SECRET, "a secret's ARN or name", problems),
            _pairs("--file", files, _check_file_name, _SECRET, "a secret's ARN or name", problems),
            _pairs("--object", objects, _check_file_name, _OBJECT, "of the form s3://BUCKET/KEY", problems),
        )
        twice = sorted(wanted.files.keys() & wanted.objects.keys())
        problems += [f"--object {name}: this is the name of a --file, too; take another" for name in twice]
        if problems:
            raise ConfigError("\n".join(problems))
        return wanted


async def fetch(wanted: Wanted, folder: Path, owner: int) -> None:
    """Fetches all, then writes it: mode 0400, owned by `owner`. What a run before left is replaced.

    Raises:
        ConfigError: something cannot be had, or not be written. Unless it was all there the folder is untouched.
        SettingsError: boto3 is not installed, or AWS's environment cannot be used.
    """
    problems: list[str] = []
    settings = await _all("--setting", wanted.settings, _setting, problems)
    files = await _all("--file", wanted.files, _text, problems)
    objects = await _all("--object", wanted.objects, _object, problems)
    if problems:
        raise ConfigError("\n".join(problems))
    env = env_text({name: value.decode() for name, value in settings.items()}).encode()
    try:
        await asyncio.to_thread(_write, folder, owner, {**files, **objects, ENV_FILE: env})
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"--to {folder}: is no folder; mount a volume there") from None
    except PermissionError as error:
        raise ConfigError(
            f"--to {folder}: {error.strerror}; only root can write files for --owner {owner}, so run this as user 0"
        ) from None
    except OSError as error:
        raise ConfigError(f"--to {folder}: cannot be written ({error.strerror}); look at the volume") from None


def _pairs(
    option: str,
    given: Sequence[str],
    check: Callable[[str], None],
    source: re.Pattern[str],
    what: str,
    problems: list[str],
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, _, rest = text.partition("=")
        try:
            check(name)
        except ValueError as error:
            problems.append(f"{option} {text!r}: {error}")
            continue
        if name in pairs:
            problems.append(f"{option} {name}: is given twice; leave one out")
        elif not source.fullmatch(rest):
            problems.append(f"{option} {name}: {rest!r} is not {what}")
        pairs[name] = rest
    return pairs


def _check_file_name(name: str) -> None:
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no file's name; use letters, digits, '.', '_' and '-', no '.' at its beginning")
    if name == ENV_FILE:
        raise ValueError(f"{ENV_FILE} is the file of settings; take another name")


async def _all(
    option: str, sources: Mapping[str, str], read: Callable[[str], Awaitable[bytes]], problems: list[str]
) -> dict[str, bytes]:
    async def one(name: str, source: str) -> tuple[str, bytes]:
        try:
            return name, await read(source)
        except ConfigError as error:
            problems.append(" ".join(f"{option} {name}: {source} {error}".split()))
            return name, b""

    return dict(await asyncio.gather(*(one(name, source) for name, source in sources.items())))


async def _setting(secret: str) -> bytes:
    content = await _text(secret)
    # The line break at the end that an editor or `echo` leaves there is never part of a setting.
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if re.search(rb"[\r\n\0]", content):
        raise ConfigError("has more than one line; a setting has one, give it as --file instead")
    return content


async def _text(secret: str) -> bytes:
    try:
        answer = await aws.call("secretsmanager", "get_secret_value", SecretId=secret)
    except aws.AwsError as error:
        raise ConfigError(_refusal(error, _FILL.format(secret), "secretsmanager:GetSecretValue")) from None
    text = answer.get("SecretString")
    if text is None:
        raise ConfigError("is binary; store it as text (SecretString)")
    if not text.strip():
        raise ConfigError(f"is empty; {_FILL.format(secret)}")
    register_secrets([text, text.strip()])
    try:
        return str(text).encode()
    except UnicodeEncodeError:
        raise ConfigError("is no text that UTF-8 can hold (half of a surrogate pair); store it anew") from None


async def _object(url: str) -> bytes:
    found = _OBJECT.fullmatch(url)
    assert found is not None  # noqa: S101 - `Wanted.of` has looked
    try:
        content = await aws.read_object(found["bucket"], found["key"], MAX_BYTES)
    except aws.AwsError as error:
        raise ConfigError(_refusal(error, "upload it there", "s3:GetObject and s3:ListBucket")) from None
    if not content:
        raise ConfigError("is empty; upload it again")
    if len(content) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES} bytes; name another object")
    return content


def _refusal(error: aws.AwsError, absent: str, permission: str) -> str:
    if error.code in _ABSENT:
        return f"does not exist, or has no value yet; {absent}"
    if error.code.startswith("AccessDenied"):
        return f"may not be read ({error.code}); the task's role needs {permission}, and kms:Decrypt on its key"
    return f"cannot be read: {error}"


def _write(folder: Path, owner: int, contents: Mapping[str, bytes]) -> None:
    scraps: dict[str, Path] = {}
    try:
        for name, content in contents.items():
            handle, scrap = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
            scraps[name] = Path(scrap)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), 0o400)
                os.fchown(file.fileno(), owner, -1)
                file.flush()
                os.fsync(file.fileno())
        (folder / ENV_FILE).unlink(missing_ok=True)
        for name, scrap_path in scraps.items():  # the env file is the last of them
            scrap_path.replace(folder / name)
    finally:
        for scrap_path in scraps.values():
            scrap_path.unlink(missing_ok=True)

"""`fetch-config`: a task's secrets and files, all of them or none, and never in a message."""

import json
import logging
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from aws_faults import faulty_way, refusing
from click.testing import Result
from typer.testing import CliRunner

from flip_common.envfile import read_env_file
from flip_hub import config_files
from flip_hub.__main__ import app

HARD = "it's \"hard\" $HOME ${x} \\' # no comment \\"
Fill = Callable[..., str]


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    """The command sets up the process's logging, and AWS's stand-in is in the same process."""
    root, stand_in = logging.getLogger(), logging.getLogger("werkzeug")
    kept = root.handlers[:], root.level, stand_in.level
    stand_in.setLevel(logging.WARNING)
    yield
    root.handlers[:], root.level, stand_in.level = kept


@pytest.fixture
def fill(aws: str) -> Fill:
    """Makes a secret; its ARN."""

    def make(text: str | None = None, binary: bytes | None = None) -> str:
        values = {"SecretString": text} if text is not None else {"SecretBinary": binary} if binary else {}
        client = boto3.client("secretsmanager")
        return str(client.create_secret(Name=f"flip/{secrets.token_hex(4)}", **values)["ARN"])

    return make


@pytest.fixture
def to(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    return folder


def run(to: Path, *options: str, owner: int | None = None) -> Result:
    whose = str(os.getuid() if owner is None else owner)
    return CliRunner().invoke(app, ["fetch-config", "--to", str(to), "--owner", whose, *options])


def refused(done: Result, *lines: str) -> None:
    """Status 2, a line for each problem that holds what is asked, and no traceback."""
    assert done.exit_code == 2, done.output
    told = done.stderr.splitlines()
    assert len(told) == len(lines), told
    for line, wanted in zip(told, lines, strict=True):
        assert wanted in line


def test_settings_files_and_objects_come_with_their_owner(fill: Fill, bucket: str, to: Path) -> None:
    pem = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    boto3.client("s3").put_object(Bucket=bucket, Key="ca/rds.pem", Body=b"\xffCA")
    done = run(
        to,
        *("--setting", f"A_KEY={fill(HARD)}", "--setting", f"B={fill('with a line break' + chr(10))}"),
        *("--file", f"server.key={fill(pem)}", "--object", f"rds-ca.pem=s3://{bucket}/ca/rds.pem"),
    )
    assert (done.exit_code, done.output) == (0, "")
    assert read_env_file(to / "service.env") == {"A_KEY": HARD, "B": "with a line break"}
    assert (to / "server.key").read_text() == pem
    assert (to / "rds-ca.pem").read_bytes() == b"\xffCA"
    assert sorted(path.name for path in to.iterdir()) == ["rds-ca.pem", "server.key", "service.env"]
    for path in to.iterdir():
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) == (0o400, os.getuid())


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away; the images' tests run as root")
def test_the_owner_may_be_somebody_else(fill: Fill, to: Path) -> None:
    assert run(to, "--file", f"k={fill('x')}", owner=10001).exit_code == 0
    assert {path.stat().st_uid for path in to.iterdir()} == {10001}


def test_who_is_not_root_is_told(to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fchown(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", fchown)
    refused(run(to, owner=10001), "run this as user 0")
    assert list(to.iterdir()) == []


def test_without_anything_to_fetch_there_is_an_empty_env_file(to: Path) -> None:
    assert run(to).exit_code == 0
    assert (to / "service.env").read_text() == ""


def test_again_replaces_what_was_there(fill: Fill, to: Path) -> None:
    arn = fill("first")
    assert run(to, "--setting", f"A={arn}", "--file", f"a={arn}").exit_code == 0
    boto3.client("secretsmanager").put_secret_value(SecretId=arn, SecretString="second")
    assert run(to, "--setting", f"A={arn}", "--file", f"a={arn}").exit_code == 0
    assert (read_env_file(to / "service.env"), (to / "a").read_text()) == ({"A": "second"}, "second")


def test_all_that_is_wrong_is_told_and_nothing_is_written(fill: Fill, bucket: str, to: Path) -> None:
    good, value = fill("good-but-not-written"), "secret-value-that-stays-secret"
    boto3.client("s3").put_object(Bucket=bucket, Key="empty", Body=b"")
    boto3.client("s3").put_object(Bucket=bucket, Key="large", Body=b"x" * (config_files.MAX_BYTES + 1))
    done = run(
        to,
        *("--setting", f"A={good}", "--file", f"a={good}"),
        *("--setting", f"LINES={fill(f'{value}{chr(10)}{value}')}", "--setting", "GONE=no-such-secret"),
        *("--setting", f"UNFILLED={fill()}", "--setting", f"BLANK={fill(' ' + chr(10))}"),
        *("--file", f"half={fill(chr(0xD800) + value)}", "--file", f"binary={fill(binary=b'x')}"),
        *("--object", f"gone=s3://{bucket}/gone", "--object", f"empty=s3://{bucket}/empty"),
        *("--object", f"large=s3://{bucket}/large", "--object", "away=s3://no-such-bucket-here/x"),
    )
    told = sorted(done.stderr.splitlines())
    assert done.exit_code == 2
    for line, wanted in zip(
        told,
        (
            "--file binary: arn",
            "--file half: arn",
            "--object away: s3://no-such-bucket-here/x does not exist",
            f"--object empty: s3://{bucket}/empty is empty",
            f"--object gone: s3://{bucket}/gone does not exist",
            f"--object large: s3://{bucket}/large is larger than 1048576 bytes",
            "--setting BLANK: arn",
            "--setting GONE: no-such-secret does not exist, or has no value yet; put a value into it: aws secretsm",
            "--setting LINES: arn",
            "--setting UNFILLED: arn",
        ),
        strict=True,
    ):
        assert line.startswith(wanted)
    assert "does not exist, or has no value yet" in told[-1]
    assert "is binary; store it as text" in told[0]
    assert "surrogate" in told[1]
    assert "give it as --file" in told[8]
    assert value not in done.output
    assert list(to.iterdir()) == []


def test_a_failure_leaves_what_was_there(fill: Fill, to: Path) -> None:
    assert run(to, "--setting", f"A={fill('first')}").exit_code == 0
    refused(run(to, "--setting", f"A={fill('second')}", "--file", "a=no-such-secret"), "--file a: no-such-secret")
    assert read_env_file(to / "service.env") == {"A": "first"}


def test_a_failure_in_the_middle_of_writing_leaves_no_env_file(
    fill: Fill, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sees the env file sees all: it goes first, and comes last."""
    arn = fill("x")
    assert run(to, "--setting", f"A={arn}", "--file", f"a={arn}", "--file", f"b={arn}").exit_code == 0
    replace = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if target.name == "b":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    done = run(to, "--setting", f"A={arn}", "--file", f"a={arn}", "--file", f"b={arn}")
    refused(done, "No space left on device")
    assert sorted(path.name for path in to.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--setting", "lower=x"), "'lower' is no variable name"),
        (("--setting", "A-B=x"), "no variable name"),
        (("--setting", "x"), "no variable name"),
        (("--setting", "A="), "--setting A: '' is not a secret's ARN or name"),
        (("--setting", "A=a b"), "not a secret's ARN"),
        (("--setting", "A=arn:aws:s3:::b"), "not a secret's ARN"),
        (("--setting", "A=x", "--setting", "A=y"), "--setting A: is given twice"),
        (("--file", "../a=x"), "'../a' is no file's name"),
        (("--file", "/a=x"), "no file's name"),
        (("--file", ".a=x"), "no file's name"),
        (("--file", "..=x"), "no file's name"),
        (("--file", "a\n=x"), "no file's name"),
        (("--file", "service.env=x"), "is the file of settings"),
        (("--object", "a/b=s3://bucket/x"), "no file's name"),
        (("--object", "a=https://bucket/x"), "--object a: 'https://bucket/x' is not of the form s3://BUCKET/KEY"),
        (("--object", "a=s3://bucket"), "not of the form"),
        (("--object", "a=s3://bucket/x", "--file", "a=x"), "--object a: this is the name of a --file"),
    ],
)
def test_names_and_sources_that_are_none(aws: str, to: Path, options: tuple[str, ...], told: str) -> None:
    with faulty_way(aws) as way:
        refused(run(to, *options), told)
        assert way.asked == []
    assert list(to.iterdir()) == []


def test_a_folder_that_is_not_there(aws: str, tmp_path: Path) -> None:
    refused(run(tmp_path / "none"), "is no folder; mount a volume there")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("AccessDeniedException", "the task's role needs secretsmanager:GetSecretValue, and kms:Decrypt"),
        ("DecryptionFailure", "cannot be read: An error occurred (DecryptionFailure)"),
    ],
)
def test_a_secret_that_may_not_be_read(
    aws: str, to: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    with refusing(code) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        refused(run(to, "--setting", "A=x"), told)


def test_without_boto3_the_remedy_is_told(to: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    refused(run(to, "--setting", "A=x"), "pip install 'flip-platform[hub-aws]'")


def test_a_json_document_is_a_setting_as_it_stands(fill: Fill, to: Path) -> None:
    document = json.dumps({"Trust_1": "a'b\\"})
    assert run(to, "--setting", f"TRUST_AES_KEYS={fill(document)}").exit_code == 0
    assert read_env_file(to / "service.env") == {"TRUST_AES_KEYS": document}

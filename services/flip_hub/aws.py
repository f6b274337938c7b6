"""AWS as the hub calls it: one place for retries, time limits and the name the hub gives itself."""

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from flip_common import __version__
from flip_common.settings import SettingsError

ATTEMPTS = 4
"""Times a call is tried, with growing pauses of a few seconds in all."""
CONNECT_SECONDS, READ_SECONDS = 5, 30
CONNECTIONS = 64
T = TypeVar("T")


class AwsError(RuntimeError):
    """AWS refuses or does not answer. The text names the operation and the reason, and holds no key or password.

    `code` is AWS's own word for the refusal, such as AccessDenied; empty if there was no answer.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


def client(service: str, region: str | None = None) -> Any:
    """boto3's client of a service, which blocks. Credentials and endpoint, and the region unless it is given, come from
    AWS's usual environment.

    Raises:
        SettingsError: boto3 is not installed, or what AWS's environment says cannot be used.
    """
    try:
        boto3, botocore = import_module("boto3"), import_module("botocore.config")
    except ImportError:
        raise SettingsError("boto3 is not installed here; run: pip install 'flip-platform[hub-aws]'") from None
    for library in ("boto3", "botocore", "s3transfer", "urllib3"):
        # Below this they log requests and answers whole: session tokens, keys and passwords among them.
        logging.getLogger(library).setLevel(logging.WARNING)
    config = botocore.Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        user_agent_extra=f"flip-hub/{__version__}",
    )
    try:
        return boto3.Session().client(service, region_name=region, config=config)
    except (import_module("botocore.exceptions").BotoCoreError, ValueError) as error:
        raise SettingsError(f"AWS's environment (AWS_DEFAULT_REGION and so on) cannot be used: {error}") from None


async def call(service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
    """What AWS answers to an operation, as in `call("kms", "decrypt", KeyId=...)`.

    Raises:
        AwsError: AWS refuses or does not answer.
        SettingsError: see `client`.
    """
    return await asyncio.to_thread(_call, service, operation, arguments, _whole)


async def read_object(bucket: str, key: str, limit: int) -> bytes:
    """A small object of S3, no more than `limit` + 1 bytes of it.

    Raises:
        AwsError: AWS refuses or does not answer.
        SettingsError: see `client`.
    """
    read = _reading(limit + 1)
    return await asyncio.to_thread(_call, "s3", "get_object", {"Bucket": bucket, "Key": key}, read)


def _reading(size: int) -> Callable[[dict[str, Any]], bytes]:
    def read(answer: dict[str, Any]) -> bytes:
        with answer["Body"] as body:
            content: bytes = body.read(size)
        return content

    return read


def _whole(answer: dict[str, Any]) -> dict[str, Any]:
    return answer


def _call(service: str, operation: str, arguments: dict[str, Any], take: Callable[[dict[str, Any]], T]) -> T:
    caller = client(service)
    try:
        return _answer(caller, operation, arguments, take)
    finally:
        caller.close()


def answer(caller: Any, operation: str, /, **arguments: Any) -> dict[str, Any]:
    """What AWS answers a client that the caller has; blocks.

    Raises:
        AwsError: AWS refuses or does not answer.
    """
    return _answer(caller, operation, arguments, _whole)


def _answer(caller: Any, operation: str, arguments: dict[str, Any], take: Callable[[dict[str, Any]], T]) -> T:
    errors = import_module("botocore.exceptions")
    try:
        return take(getattr(caller, operation)(**arguments))
    except errors.ClientError as error:
        raise AwsError(str(error), error.response.get("Error", {}).get("Code", "")) from None
    except errors.BotoCoreError as error:
        raise AwsError(str(error)) from None

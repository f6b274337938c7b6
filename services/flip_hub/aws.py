"""AWS as the hub calls it. boto3 is an extra (`hub-aws`), imported when a setting asks for AWS."""

import asyncio
import importlib
import logging
from typing import Any

from flip_common.settings import SettingsError


class AwsError(RuntimeError):
    """AWS refuses or does not answer. The text names the operation and the reason, and holds no key or password."""


def client(service: str) -> Any:
    """A boto3 client. It blocks, so it is for threads; it tries three times, each 5 s to connect, 10 s for an answer.

    Raises:
        SettingsError: boto3 is not installed.
        botocore.exceptions.BotoCoreError: no region is set.
    """
    config = _package("botocore.config").Config(
        connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}
    )
    # At DEBUG botocore logs what AWS answers, keys and passwords included.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return _package("boto3").session.Session().client(service, config=config)


async def call(service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """What AWS answers to an operation, as in `call("kms", "decrypt", KeyId=...)`.

    Raises:
        AwsError: AWS refuses or does not answer.
        SettingsError: boto3 is not installed.
    """
    return await asyncio.to_thread(_call, service, operation, arguments)


def _call(service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    errors = _package("botocore.exceptions")
    try:
        answer: dict[str, Any] = getattr(client(service), operation)(**arguments)
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise AwsError(str(error)) from None
    return answer


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise SettingsError(
            "boto3 is not installed, which settings that name AWS need; run: pip install 'flip-platform[hub-aws]'"
        ) from None

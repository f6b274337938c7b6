"""AWS as the hub calls it: one place for retries, time limits and the name the hub gives itself."""

import asyncio
import logging
from importlib import import_module
from typing import Any

from flip_common import __version__
from flip_common.settings import SettingsError

ATTEMPTS = 4
"""Times a call is tried, with growing pauses of a few seconds in all."""
CONNECT_SECONDS, READ_SECONDS = 5, 30
CONNECTIONS = 64


class AwsError(RuntimeError):
    """AWS refuses or does not answer. The text names the operation and the reason, and holds no key or password."""


def client(service: str) -> Any:
    """boto3's client of a service, which blocks. Region, credentials and endpoint come from AWS's usual environment.

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
        return boto3.Session().client(service, config=config)
    except (import_module("botocore.exceptions").BotoCoreError, ValueError) as error:
        raise SettingsError(f"AWS's environment (AWS_DEFAULT_REGION and so on) cannot be used: {error}") from None


async def call(service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    """What AWS answers to an operation, as in `call("kms", "decrypt", KeyId=...)`.

    Raises:
        AwsError: AWS refuses or does not answer.
        SettingsError: see `client`.
    """
    return await asyncio.to_thread(_call, service, operation, arguments)


def _call(service: str, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    caller = client(service)
    errors = import_module("botocore.exceptions")
    try:
        answer: dict[str, Any] = getattr(caller, operation)(**arguments)
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise AwsError(str(error)) from None
    finally:
        caller.close()
    return answer

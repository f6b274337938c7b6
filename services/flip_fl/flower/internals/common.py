"""What all of Flower's processes share here."""

import importlib
import logging
import time
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from flip_common.logs import configure_logging

CLIENT_APP, SERVER_APP = "flwr-clientapp", "flwr-serverapp"
VERSION = "1.41."
# Reach no one but the SuperLink: no update check, no telemetry, nothing installed at run time.
QUIET = {
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
}


def configure_flower(service: str) -> None:
    """Prepares a process that runs Flower: our logs as JSON lines, Flower's as it writes them, each line once.

    Raises:
        RuntimeError: another Flower is installed than the one this package was fitted to.
    """
    installed = version("flwr")
    if not installed.startswith(VERSION):
        raise RuntimeError(f"flwr {installed} is installed; this release works with flwr {VERSION}* only")
    configure_logging(service)
    logging.getLogger("flwr").propagate = False
    logging.getLogger("alembic").setLevel(logging.WARNING)


def import_module(name: str) -> Any:
    """A module of Flower, to be used and patched. Some share their name with a function of their package."""
    return importlib.import_module(name)


def impatient(seconds: float) -> Any:
    """The `time` module with sleeps of at most `seconds`: Flower polls every three seconds, hard-coded."""
    return SimpleNamespace(time=time.time, sleep=lambda duration: time.sleep(min(duration, seconds)))

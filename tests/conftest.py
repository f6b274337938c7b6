"""What holds for every test."""

import gc
import logging
from collections.abc import Iterator

import pytest


def pytest_collection_finish() -> None:
    """Leaves every module's objects out of later collections; with them, one that a test asks for takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A service's main function sets up the log of its process: where a test calls it, that ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)

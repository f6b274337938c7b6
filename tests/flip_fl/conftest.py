"""A real net for tests: the FL API with its SuperLink, sites, and a small server in the hub's place."""

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from fl_hub_stand_in import HubStandIn
from fl_net import Net, wait_until
from fl_small_app import FILES, make_zip

from flip_common.wire import JobSpec
from flip_fl import processes


@pytest.fixture(scope="session")
def app_files() -> dict[str, str | bytes]:
    """A small app without torch."""
    return FILES


@pytest.fixture(scope="session")
def zip_of() -> Callable[[dict[str, str | bytes]], bytes]:
    """Packs files."""
    return make_zip


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., JobSpec]:
    """Makes a specification for an app."""

    def make(app: bytes, **changes: Any) -> JobSpec:
        values: dict[str, Any] = {
            "job_id": uuid4(),
            "model_id": uuid4(),
            "project_id": uuid4(),
            "backend": "flower",
            "job_type": "standard",
            "cohort_query": "SELECT person_id FROM omop.person WHERE name = 'a''b'",
            "trusts": ["Trust_A", "Trust_B"],
            "min_sites": 2,
            "round_timeout_seconds": 300,
            "app_digest": hashlib.sha256(app).hexdigest(),
        }
        return JobSpec.model_validate(values | changes)

    return make


@pytest.fixture(scope="session")
def hub_stand_in() -> Iterator[HubStandIn]:
    """One for all tests."""
    stand_in = HubStandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="session", autouse=True)
def _measure_children() -> Iterator[None]:
    # What coverage tells its child processes must pass through the environment that ours are given.
    names = tuple(name for name in os.environ if name.startswith("COVERAGE_"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "INHERITED", (*processes.INHERITED, *names))
        yield


@pytest.fixture(scope="session")
def make_net() -> type[Net]:
    """Makes a net with nothing running yet."""
    return Net


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory, hub_stand_in: HubStandIn) -> Iterator[Net]:
    """A net with two sites online."""
    net = Net(tmp_path_factory.mktemp("net"), hub_stand_in)
    try:
        net.start_api()
        net.start_site("Trust_A")
        net.start_site("Trust_B")
        wait_until("both sites are online", lambda: net.online("Trust_A", "Trust_B"))
        yield net
    finally:
        net.close()

"""A packer and a site for every test, and engines of its own for those that load images."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from airlock import Airlock
from private_engine import PrivateEngine


@pytest.fixture
def airlock(tmp_path: Path) -> Airlock:
    """A packer, its key, and a site that trusts it."""
    return Airlock(tmp_path)


def _kinds() -> list[str]:
    """What the installed engine can be: before 23 it cannot leave images to containerd."""
    try:
        said = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return ["graphdriver"]
    return ["graphdriver", "containerd"] if int(said.split()[2].split(".")[0]) >= 23 else ["graphdriver"]


@pytest.fixture(scope="module", params=_kinds())
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    """An engine of either kind, which `docker` talks to while the tests of a module run."""
    made = PrivateEngine(tmp_path_factory.mktemp("engine"), by_containerd=request.param == "containerd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", made.host)
        try:
            made.start()
            yield made
        finally:
            made.remove()


@pytest.fixture
def empty(engine: PrivateEngine) -> PrivateEngine:
    """The engine without any image."""
    subprocess.run(["docker", "image", "prune", "--all", "--force"], check=True, capture_output=True)
    return engine

"""A federation in one process: the tutorials' own apps, called as Flower calls them, without a SuperLink."""

import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel
import numpy as np
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from flip_common.appcheck.config import read_config
from flip_common.appcheck.report import DEFAULT_LIMITS, Collector

TUTORIALS = Path(__file__).parents[2] / "tutorials"
MODEL = "0b7b9a86-52d5-4b8e-8f0e-2f6a3a7d2c22"


@dataclass
class Site:
    """A trust on this machine: its environment, and what Flower keeps there between messages."""

    name: str
    environ: dict[str, str]
    state: RecordDict = field(default_factory=RecordDict)


class LocalGrid(Grid):
    """Hands each message to the ClientApp in that site's environment; what it raises becomes an error reply."""

    def __init__(
        self, client: ModuleType, sites: list[Site], config: dict[str, Any], patch: pytest.MonkeyPatch
    ) -> None:
        self.client, self.config, self.patch = client, config, patch
        self.sites = dict(enumerate(sites, start=11))
        self.failures: list[Exception] = []

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **options: Any) -> Message:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.sites)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        return [self._answer(message) for message in messages]

    def _answer(self, message: Message) -> Message:
        site = self.sites[message.metadata.dst_node_id]
        context = Context(1, message.metadata.dst_node_id, {}, site.state, self.config)
        with self.patch.context() as here:
            for name, value in {**site.environ, "SUPERNODE_NAME": site.name}.items():
                here.setenv(name, value)
            try:
                return self.client.app(message, context)  # type: ignore[no-any-return] # flwr is untyped here
            except Exception as error:  # noqa: BLE001 - as Flower: whatever an app raises is its reply
                self.failures.append(error)
                return Message(Error(1, type(error).__name__), reply_to=message)


@dataclass
class Outcome:
    """What a finished run left: the hub's record, and the results folder."""

    calls: list[dict[str, Any]]
    results: Path
    grid: LocalGrid

    @property
    def statuses(self) -> list[str]:
        return [call["status"] for call in self.calls if call["call"] == "update_status"]

    def json(self, name: str) -> Any:
        return json.loads((self.results / name).read_text())


Run = Callable[..., Outcome]


@pytest.fixture
def app_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Imports a module of a tutorial's `app`; every tutorial's package has that name, so none is left loaded."""

    def forget() -> None:
        for name in [name for name in sys.modules if name == "app" or name.startswith("app.")]:
            del sys.modules[name]

    def load(tutorial: str, module: str) -> ModuleType:
        forget()
        monkeypatch.syspath_prepend(TUTORIALS / tutorial)
        return importlib.import_module(f"app.{module}")

    yield load
    forget()


@pytest.fixture
def run_app(app_of: Callable[[str, str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a tutorial's ServerApp over these sites, with some run-config keys overridden as FLIP does."""

    def run(tutorial: str, sites: list[Site], **overrides: Any) -> Outcome:
        root = TUTORIALS / tutorial
        declared = read_config({"pyproject.toml": root / "pyproject.toml"}, DEFAULT_LIMITS, Collector())
        assert declared is not None
        config = {**declared.run_config, "flip-model-id": MODEL}
        for key, value in overrides.items():
            assert key.replace("_", "-") in config
            config[key.replace("_", "-")] = value
        server = app_of(tutorial, "server_app")
        client = importlib.import_module("app.client_app")
        grid = LocalGrid(client, sites, config, monkeypatch)
        # Flower sets these in the process it starts for a ServerApp.
        for name in ("_task_id", "_run_id", "_node_id"):
            monkeypatch.setattr(TaskIdentity, name, 1)
        monkeypatch.setenv("LOCAL_DEV", "true")
        monkeypatch.setenv("DEV_OUTPUT_DIR", str(tmp_path / "hub"))
        try:
            server.app(grid, Context(1, 0, {}, RecordDict(), config))
        finally:
            record = tmp_path / "hub" / "calls.jsonl"
            calls = [json.loads(line) for line in record.read_text().splitlines()]
            outcome = Outcome(calls, tmp_path / "hub" / "results" / MODEL, grid)
            run.last = outcome  # type: ignore[attr-defined] # for tests of runs that raise
        return outcome

    return run


def phantom(folder: Path, seed: int, inverted: bool) -> None:
    """A head with a grey shell around a white core, 40 x 48 x 8 voxels of 4 x 4 x 6 mm, with its label."""
    draw = np.random.default_rng(seed)
    x, y, z = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 48), np.linspace(-0.6, 0.6, 8), indexing="ij")
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.85) ** 2 + z**2) * draw.uniform(0.95, 1.05)
    label = np.select([radius < 0.55, radius < 0.85], [2, 1], 0).astype(np.uint8)
    signal = np.select([label == 2, label == 1, radius < 1], [0.85, 0.6, 0.2], 0.0)
    if inverted:
        signal = np.where(radius < 1, 1.05 - 0.8 * signal, 0)
    image = np.abs(signal + draw.normal(0, 0.04, signal.shape)) * 1000
    affine = np.diag([4.0, 4.0, 6.0, 1.0])
    folder.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), affine), folder / "input_1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, affine), folder / "label_1.nii.gz")


@pytest.fixture
def imaging_sites(tmp_path: Path) -> list[Site]:
    """Two trusts with scanners of opposite contrast, and, at each, an accession without images."""
    sites = []
    for index, (name, patients) in enumerate((("Trust_1", 6), ("Trust_2", 4))):
        images = tmp_path / name / "images"
        rows = ["person_id,accession_id", "99,GONE"]
        for patient in range(patients):
            phantom(images / f"A{patient}", 100 * index + patient, inverted=index == 1)
            rows.append(f"{patient},A{patient}")
        (tmp_path / name / "cohort.csv").write_text("\n".join(rows) + "\n")
        environ = {"DEV_DATAFRAME": str(tmp_path / name / "cohort.csv"), "DEV_IMAGES_DIR": str(images)}
        sites.append(Site(name, environ))
    return sites

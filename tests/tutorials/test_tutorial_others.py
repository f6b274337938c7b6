"""The evaluation, tabular and walkthrough apps, and what all tutorials have in common."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from flwr.cli.build import build_fab_from_disk

from flip_common.appcheck import build_zip, check_dir

from .conftest import TUTORIALS, Run, Site

AppOf = Callable[[str, str], ModuleType]
NAMES = sorted(path.parent.name for path in TUTORIALS.glob("*/pyproject.toml"))


def test_there_are_four() -> None:
    assert NAMES == ["brain_segmentation", "evaluation", "tabular", "walkthrough"]


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_has_a_readme_and_passes_the_check(name: str) -> None:
    report = check_dir(TUTORIALS / name)
    assert report.ok, report.findings
    # The walkthrough prints in its own published style; the others have nothing to be warned about.
    assert {finding.code for finding in report.findings} <= ({"prints-data"} if name == "walkthrough" else set())
    assert len((TUTORIALS / name / "README.md").read_text()) > 400


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Flower's own
@pytest.mark.parametrize("name", NAMES)
def test_flower_takes_a_tutorial_as_an_app(name: str) -> None:
    assert len(build_fab_from_disk(TUTORIALS / name)) < 1_000_000
    assert len(build_zip(TUTORIALS / name)) < 1_000_000


def test_the_walkthrough_runs_as_published(run_app: Run, imaging_sites: list[Site]) -> None:
    done = run_app("walkthrough", imaging_sites)
    assert done.grid.failures == []
    assert done.statuses == ["INITIATED", "PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"]
    weights = torch.load(done.results / "FL_global_model.pt", weights_only=True)
    assert list(weights) == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]


def test_evaluation_lets_metrics_out_and_nothing_else(run_app: Run, imaging_sites: list[Site]) -> None:
    done = run_app("evaluation", imaging_sites)
    assert done.grid.failures == []
    assert done.statuses == ["INITIATED", "PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"]
    assert [path.name for path in done.results.iterdir()] == ["metrics.json"]
    table = done.json("metrics.json")
    assert {trust: values["num-examples"] for trust, values in table.items()} == {"Trust_1": 6, "Trust_2": 4}
    assert 0.5 < table["Trust_1"]["dice_lowest"] <= table["Trust_1"]["dice"] <= 1


def test_evaluation_fails_when_a_site_does(run_app: Run, imaging_sites: list[Site]) -> None:
    imaging_sites[0].environ["DEV_IMAGES_DIR"] = imaging_sites[0].environ["DEV_IMAGES_DIR"] + "/A0"
    with pytest.raises(RuntimeError, match="1 of 2 sites"):
        run_app("evaluation", imaging_sites)
    with pytest.raises(TimeoutError, match="2 of 3 sites"):
        run_app("evaluation", imaging_sites, flip_min_clients=3, timeout=0)


def test_a_checkpoint_survives_being_packed(app_of: AppOf, tmp_path: Path) -> None:
    checkpoint = app_of("evaluation", "checkpoint")
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float64([1.5])}
    np.savez(tmp_path / "w.npz", **arrays)
    checkpoint.pack(tmp_path / "w.npz", tmp_path / "w.json")
    loaded = checkpoint.load(tmp_path / "w.json")
    assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)
    assert loaded["a"].flags.writeable


def cohort(patients: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    born = draw.integers(1930, 2005, patients)
    chance = 1 / (1 + np.exp(-(2026 - born - 55) / 8))
    return pd.DataFrame(
        {
            "person_id": range(patients),
            "year_of_birth": born,
            "gender_concept_id": draw.choice([8507, 8532], patients),
            "visits": draw.poisson(3, patients),
            "has_condition": (draw.random(patients) < chance).astype(int),
        }
    )


def test_tabular_learns_that_age_matters(run_app: Run, tmp_path: Path) -> None:
    sites = []
    for seed, name in enumerate(("Trust_1", "Trust_2")):
        cohort(300, seed).to_csv(tmp_path / f"{name}.csv", index=False)
        sites.append(Site(name, {"DEV_DATAFRAME": str(tmp_path / f"{name}.csv")}))
    done = run_app("tabular", sites, num_server_rounds=3)
    assert done.grid.failures == []
    assert done.statuses[-1] == "RESULTS_UPLOADED"
    weights = done.json("weights.json")
    assert list(weights) == ["intercept", "year_of_birth", "gender_concept_id", "visits"]
    assert weights["year_of_birth"] > 1
    assert abs(weights["gender_concept_id"]) < abs(weights["year_of_birth"])


def test_tabular_fails_when_no_site_can_take_part(run_app: Run, tmp_path: Path) -> None:
    cohort(30, 0).drop(columns="visits").to_csv(tmp_path / "a.csv", index=False)
    sites = [Site("Trust_1", {"DEV_DATAFRAME": str(tmp_path / "a.csv")})]
    with pytest.raises(RuntimeError, match="no site"):
        run_app("tabular", sites, num_server_rounds=1, flip_min_clients=1)


def test_the_tabular_model_says_what_it_cannot_use(app_of: AppOf) -> None:
    model = app_of("tabular", "model")
    frame = cohort(50, 1)
    with pytest.raises(ValueError, match="income"):
        model.to_table(frame, ["income"], "has_condition", 2026)
    with pytest.raises(ValueError, match="one value only"):
        model.to_table(frame.assign(has_condition=0), ["visits"], "has_condition", 2026)
    table = model.to_table(
        frame.assign(visits=frame["visits"].where(frame.index > 4)), ["visits"], "has_condition", 2026
    )
    assert len(table.target) == 45
    training, validation = model.split(table)
    assert len(training.target) + len(validation.target) == 45
    assert model.auc(np.array([0.0, 1.0]), model.Table(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))) == 1.0
    assert model.auc(np.zeros(2), table) == 0.5
    assert model.auc(np.zeros(2), model.Table(np.zeros((2, 1)), np.ones(2))) == 0.5

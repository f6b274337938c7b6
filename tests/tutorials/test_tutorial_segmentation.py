"""The segmentation app, from cohort to results."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest

from .conftest import Run, Site

AppOf = Callable[[str, str], ModuleType]


def test_two_trusts_train_one_model_that_can_be_checked(run_app: Run, imaging_sites: list[Site]) -> None:
    done = run_app(
        "brain_segmentation",
        imaging_sites,
        num_server_rounds=3,
        local_steps=12,
        batch_size=4,
        learning_rate=3e-3,
        compare_alone=True,
    )
    assert done.grid.failures == []
    assert done.statuses == ["INITIATED", "PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"]
    metrics = done.json("metrics.json")

    weights = metrics["num_examples"]
    assert weights["Trust_1"] > weights["Trust_2"] > 0
    local = {trust: dict(np.load(done.results / f"local_{trust}.npz")) for trust in weights}
    initial, final = (dict(np.load(done.results / f"{name}.npz")) for name in ("initial", "final"))
    for layer, values in final.items():
        mean = sum(weights[trust] * local[trust][layer].astype(np.float64) for trust in weights)
        np.testing.assert_allclose(values, mean / sum(weights.values()), atol=1e-6)
    assert any(not np.allclose(initial[layer], final[layer]) for layer in final)
    assert any(not np.allclose(local["Trust_1"][layer], local["Trust_2"][layer]) for layer in final)

    assert len(metrics["rounds"]) == 3
    for part in metrics["rounds"]:
        assert set(part) == {"Trust_1", "Trust_2"}
        assert {"train_loss", "val_dice", "val_dice_global", "val_dice_alone"} <= set(part["Trust_1"])
    losses = [part["Trust_1"]["train_loss"] for part in metrics["rounds"]]
    assert losses[-1] < losses[0]
    mean = metrics["mean_dice"]
    assert {"dice_global", "dice_alone_Trust_1", "dice_alone_Trust_2"} <= set(mean)
    untrained = max(part["val_dice_global"] for part in metrics["rounds"][0].values())
    assert max(metrics["global_dice"]) > untrained + 0.2
    assert metrics["global_dice"][metrics["best_round"] - 1] == max(metrics["global_dice"])


def test_the_same_seed_gives_the_same_weights(run_app: Run, imaging_sites: list[Site], tmp_path: Path) -> None:
    options = {"num_server_rounds": 1, "local_steps": 2, "batch_size": 2}
    first = run_app("brain_segmentation", imaging_sites, **options)
    kept = dict(np.load(first.results / "final.npz"))
    assert not list(first.results.glob("alone_*"))
    again = dict(np.load(run_app("brain_segmentation", imaging_sites, **options).results / "final.npz"))
    other = dict(np.load(run_app("brain_segmentation", imaging_sites, seed=1, **options).results / "final.npz"))
    assert all(np.array_equal(kept[layer], again[layer]) for layer in kept)
    assert any(not np.array_equal(kept[layer], other[layer]) for layer in kept)


def test_a_private_copy_stays_at_its_site_until_the_last_round(
    run_app: Run, app_of: AppOf, imaging_sites: list[Site]
) -> None:
    done = run_app(
        "brain_segmentation", imaging_sites, num_server_rounds=2, local_steps=2, batch_size=2, compare_alone=True
    )
    for site in imaging_sites:
        kept = app_of("brain_segmentation", "model").unpack(site.state.array_records["private-copy"]).state_dict()
        sent = dict(np.load(done.results / f"alone_{site.name}.npz"))
        assert all(np.array_equal(kept[layer].numpy(), sent[layer]) for layer in sent)


def test_a_site_that_fails_does_not_stop_the_others_but_is_no_success(run_app: Run, imaging_sites: list[Site]) -> None:
    imaging_sites[1].environ["DEV_DATAFRAME"] = "/nonexistent.csv"
    with pytest.raises(RuntimeError, match="1 of 2 sites"):
        run_app("brain_segmentation", imaging_sites, num_server_rounds=1, local_steps=1, batch_size=2)
    outcome = run_app.last  # type: ignore[attr-defined] # set by the fixture
    assert outcome.statuses[-1] == "ERROR"
    assert outcome.calls[-2]["code"] == "RuntimeError"
    assert {type(error).__name__ for error in outcome.grid.failures} == {"ConfigurationError"}


def test_no_site_at_all_is_an_error(run_app: Run, imaging_sites: list[Site]) -> None:
    for site in imaging_sites:
        site.environ["DEV_IMAGES_DIR"] = "/nonexistent"
    with pytest.raises(RuntimeError, match="none of 2 sites"):
        run_app("brain_segmentation", imaging_sites, num_server_rounds=1)


def test_a_volume_comes_to_the_common_grid(app_of: AppOf, imaging_sites: list[Site]) -> None:
    data = app_of("brain_segmentation", "data")
    folder = Path(imaging_sites[0].environ["DEV_IMAGES_DIR"], "A0")
    image, label = data.prepare(folder / "input_1.nii.gz", folder / "label_1.nii.gz")
    assert image.shape == (8, 2, 96, 112)
    assert label.shape == (8, 96, 112)
    assert set(np.unique(label)) == {0, 1, 2}
    # Volume of the white core is kept: voxels of 4 x 4 mm became pixels of 2 x 2 mm.
    before = (nibabel.load(folder / "label_1.nii.gz").get_fdata() == 2).sum()
    assert (label == 2).sum() == pytest.approx(4 * before, rel=0.02)


def test_contrasts_have_their_own_channels_and_patients_one_side(
    app_of: AppOf, imaging_sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = app_of("brain_segmentation", "data")
    for index, site in enumerate(imaging_sites):
        flip = data.FLIP({"LOCAL_DEV": "true", **site.environ})
        cohort = data.load_cohort(flip, "p", "q")
        for volume in cohort.train + cohort.validation:
            assert volume.image[:, index].abs().sum() > 0
            assert volume.image[:, 1 - index].abs().sum() == 0
        cached = list(Path(site.environ["DEV_IMAGES_DIR"]).glob("*/prepared-*"))
        assert len(cached) == len(cohort.train) + len(cohort.validation)
        monkeypatch.setattr(data, "prepare", None)  # a second call reads the cache only
        assert len(data.load_cohort(flip, "p", "q").train) == len(cohort.train)
        monkeypatch.undo()


def test_image_and_label_of_other_grids_are_refused(app_of: AppOf, imaging_sites: list[Site]) -> None:
    data = app_of("brain_segmentation", "data")
    folder = Path(imaging_sites[0].environ["DEV_IMAGES_DIR"], "A0")
    small = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    nibabel.save(small, folder / "small.nii.gz")
    with pytest.raises(ValueError, match="one grid"):
        data.prepare(folder / "input_1.nii.gz", folder / "small.nii.gz")
    with pytest.raises(ValueError, match="empty"):
        data.prepare(folder / "small.nii.gz", folder / "small.nii.gz")

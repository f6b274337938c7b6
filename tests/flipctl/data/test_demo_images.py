"""The generated DICOM: geometry, labels, determinism, and the studies that are wrong on purpose."""

import hashlib
import importlib.util
import json
import subprocess
from pathlib import Path

import dcm2niix
import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from nibabel.processing import resample_from_to
from typer.testing import CliRunner

from flipctl.data import Manifest, Study, StudyKind, generate
from flipctl.data.anatomy import Template
from flipctl.data.cli import app


def files_of(out: Path, study: Study) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted((out / study.folder).iterdir())]


def first(manifest: Manifest, trust: str, kind: StudyKind = StudyKind.BRAIN) -> Study:
    return next(study for study in manifest.trusts[trust].studies if study.kind is kind)


def to_nifti(out: Path, study: Study, target: Path) -> subprocess.CompletedProcess[str]:
    source = target / "mr"
    source.mkdir(parents=True)
    for path in sorted((out / study.folder).iterdir()):
        if pydicom.dcmread(path, stop_before_pixels=True).Modality != "SEG":
            (source / path.name).write_bytes(path.read_bytes())
    command = [dcm2niix.bin, "-z", "n", "-f", "image", "-o", str(target), str(source)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("trust", ["Trust_1", "Trust_2"])
def test_labels_lie_on_the_anatomy_in_world_space(data_set: tuple[Path, Manifest], tmp_path: Path, trust: str) -> None:
    out, manifest = data_set
    study = first(manifest, trust)
    assert to_nifti(out, study, tmp_path).returncode == 0
    image = nibabel.load(tmp_path / "image.nii")
    truth = np.load(out / trust / "truth" / f"{study.accession}.npz")
    labels, points = truth["labels"], truth["points"]

    # Every true label voxel, looked up in the converted image's grid by its world position.
    index = np.rint(nibabel.affines.apply_affine(np.linalg.inv(image.affine), points)).astype(int)
    back = nibabel.affines.apply_affine(image.affine, index)
    assert np.abs(back - points).max() < 0.01, "dcm2niix and the generator disagree on where pixels are"
    values = image.get_fdata()[tuple(np.moveaxis(index, -1, 0))]
    assert values[labels > 0].mean() > 5 * values[labels == 0].mean()

    # The DICOM-SEG, brought into the image's grid, is the truth voxel by voxel.
    seg = highdicom.seg.segread(sorted((out / study.folder).iterdir())[-1])
    volume = seg.get_volume(combine_segments=True)
    volume = volume.pad(((1, 1), (1, 1), (1, 1)))  # else rounding at the crop's edge loses its outermost voxels
    affine = np.diag([-1, -1, 1, 1]) @ volume.affine
    label_image = nibabel.Nifti1Image(volume.array.astype(np.uint8), affine)
    there = resample_from_to(label_image, image, order=0).get_fdata().astype(int)
    assert np.array_equal(there[tuple(np.moveaxis(index, -1, 0))], labels)
    assert study.label_voxels == {"grey_matter": (labels == 1).sum(), "white_matter": (labels == 2).sum()}


def test_scanners_differ_in_tilt_grid_and_contrast(data_set: tuple[Path, Manifest]) -> None:
    out, manifest = data_set
    contrast = {}
    for trust in ("Trust_1", "Trust_2"):
        study = first(manifest, trust)
        images = [image for image in files_of(out, study) if image.Modality == "MR"]
        truth = np.load(out / trust / "truth" / f"{study.accession}.npz")["labels"]
        pixels = np.stack([image.pixel_array for image in images])
        assert pixels.shape == truth.shape
        assert 24 <= len(images) <= 30
        contrast[trust] = pixels[truth == 2].mean() / pixels[truth == 1].mean()
        normal = np.cross(images[0].ImageOrientationPatient[:3], images[0].ImageOrientationPatient[3:])
        steps = np.diff([image.ImagePositionPatient for image in images], axis=0)
        assert np.allclose(steps, normal * float(images[0].SpacingBetweenSlices), atol=1e-4)
        degrees = np.degrees(np.arccos(normal[2]))
        assert degrees < 0.01 if trust == "Trust_1" else 10 < degrees < 18
    assert contrast["Trust_1"] > 1.15, "white matter is brighter than grey under T1"
    assert contrast["Trust_2"] < 0.85, "and darker under T2"


def test_tags_tie_the_files_to_one_patient_study_and_accession(data_set: tuple[Path, Manifest]) -> None:
    out, manifest = data_set
    accessions, people = set(), set()
    for share in manifest.trusts.values():
        for study in share.studies:
            assert study.accession not in accessions
            assert study.person_id not in people
            accessions.add(study.accession)
            people.add(study.person_id)
            if study.kind is StudyKind.ABSENT:
                assert not (out / study.folder).exists()
                continue
            files = files_of(out, study)
            assert {file.AccessionNumber for file in files} == {study.accession}
            assert {file.PatientID for file in files} == {study.patient_id}
            assert {file.StudyInstanceUID for file in files} == {study.study_uid}
            assert {file.SeriesInstanceUID for file in files if file.Modality != "SEG"} == {study.series_uid}
            assert len({file.SOPInstanceUID for file in files}) == len(files)
            assert sum(file.Modality == study.modality for file in files) == study.images


def test_same_seed_same_files_other_seed_other_patients(data_set: tuple[Path, Manifest], tmp_path: Path) -> None:
    out, manifest = data_set
    again = generate(tmp_path / "again", ("Trust_1", "Trust_2"), 3, seed=7, workers=1)
    assert again.model_copy(update={"seconds": manifest.seconds}) == manifest
    study = first(manifest, "Trust_2")
    for path in (out / study.folder).iterdir():
        assert (tmp_path / "again" / study.folder / path.name).read_bytes() == path.read_bytes()
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted((out / study.folder).iterdir())))
    assert digest.hexdigest() == study.sha256
    other = generate(tmp_path / "other", ("Trust_1",), 1, seed=8, workers=1)
    assert first(other, "Trust_1").pixel_sha256 != first(manifest, "Trust_1").pixel_sha256
    assert Manifest.load(tmp_path / "other") == other


def test_no_two_patients_are_alike(data_set: tuple[Path, Manifest]) -> None:
    _, manifest = data_set
    digests = [s.pixel_sha256 for share in manifest.trusts.values() for s in share.studies if s.pixel_sha256]
    assert len(set(digests)) == len(digests) == 8


def test_broken_studies_are_broken_as_the_manifest_says(data_set: tuple[Path, Manifest], tmp_path: Path) -> None:
    out, manifest = data_set
    gap = first(manifest, "Trust_1", StudyKind.BROKEN)
    images = [image for image in files_of(out, gap) if image.Modality == "MR"]
    assert gap.fault == "a slice is missing"
    assert len(images) == gap.images == max(int(image.InstanceNumber) for image in images) - 1
    steps = np.linalg.norm(np.diff([image.ImagePositionPatient for image in images], axis=0), axis=1)
    assert steps.max() == pytest.approx(2 * steps.min(), rel=1e-3)
    assert "Interslice distance varies" in to_nifti(out, gap, tmp_path / "gap").stdout
    empty = first(manifest, "Trust_2", StudyKind.BROKEN)
    assert empty.fault == "the images hold no pixels"
    assert not any("PixelData" in image for image in files_of(out, empty) if image.Modality == "MR")
    to_nifti(out, empty, tmp_path / "empty")
    assert not list((tmp_path / "empty").glob("*.nii"))


def test_genuine_series_keep_pixels_and_lose_names(data_set: tuple[Path, Manifest]) -> None:
    out, manifest = data_set
    bundled = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    genuine = [s for s in manifest.trusts["Trust_1"].studies if s.kind is StudyKind.GENUINE]
    assert sorted(s.modality for s in genuine) == ["CT", "CT", "MR", "MR"]
    ours = next(
        file for study in genuine for file in files_of(out, study) if file.get("Manufacturer") == bundled.Manufacturer
    )
    names = {str(file.PatientName) for study in genuine for file in files_of(out, study)}
    assert all(name.startswith("Demo^") for name in names)
    assert np.array_equal(ours.pixel_array, bundled.pixel_array)


def test_template_is_what_nilearn_returns() -> None:
    from nilearn import datasets

    template = Template.from_nilearn()
    reference = datasets.load_mni152_template(resolution=1)
    assert np.allclose(template.t1, reference.get_fdata(), atol=1e-6)
    assert np.allclose(template.origin, reference.affine[:3, 3])
    assert np.allclose(template.white, datasets.load_mni152_wm_template(resolution=1).get_fdata(), atol=1e-6)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="nilearn is not installed"):
        Template.from_nilearn()


@pytest.mark.parametrize(
    ("trusts", "patients", "reason"),
    [
        (("A", "A"), 1, "different names"),
        ((), 1, "different names"),
        (("../x",), 1, "pattern"),
        (("A",), 0, "not between 1 and 90"),
        (("A",), 91, "not between 1 and 90"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, trusts: tuple[str, ...], patients: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        generate(tmp_path / "x", trusts, patients)
    assert not (tmp_path / "x").exists()


def test_command_line_generates_and_never_overwrites(tmp_path: Path) -> None:
    out = tmp_path / "data"
    arguments = ["generate", str(out), "--trust", "North", "--patients", "1", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["studies"]["North"] == {"brain": 1, "genuine": 4, "broken": 1, "absent": 1}
    assert Path(said["manifest"]).is_file()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "is not empty, a data set already" in again.stderr

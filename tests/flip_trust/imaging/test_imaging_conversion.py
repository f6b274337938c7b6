"""DICOM to NIfTI: right in world space, without private text, and honest about what cannot be converted."""

import gzip
import os
import struct
from pathlib import Path
from typing import Any
from uuid import UUID

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from flip_trust.imaging.convert import image_series
from flip_trust.imaging.dicom import Instance, UnreadableFile, read_instance
from flip_trust.imaging.labels import LabelError, write_labels
from flip_trust.imaging.library import Library, Study
from flip_trust.imaging.nifti import NiftiError, pack_nifti
from flip_trust.imaging.store import StoreError

PROJECT = UUID(int=1)


def test_the_converter_gets_no_secret_of_the_service(
    convert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is native code that reads what scanners and other hospitals wrote."""
    spy, seen = tmp_path / "spy", tmp_path / "seen"
    spy.write_text(f"#!/bin/sh\n/usr/bin/env > {seen}\nexit 1\n")
    spy.chmod(0o755)
    monkeypatch.setattr("dcm2niix.bin", str(spy))
    monkeypatch.setenv("TRUST_INTERNAL_SERVICE_KEY", "s3cret-s3cret-s3cret")
    convert([Path(str(get_testdata_file("CT_small.dcm")))])
    assert "s3cret" not in seen.read_text()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_an_oblique_series_is_right_voxel_by_voxel(
    make: Any, convert: Any, world_values: Any, tmp_path: Path, reverse: bool, compress: bool
) -> None:
    phantom = make.series(tmp_path / "made", "A1", reverse=reverse, compress=compress)
    done = convert(phantom.files)
    assert (done.files, done.reason) == (["input_2.nii.gz"], "")
    np.testing.assert_array_equal(world_values(done.folder / "input_2.nii.gz", phantom), phantom.voxels)


def test_private_text_is_gone_and_bytes_repeat(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    packed = [(convert(phantom.files).folder / "input_2.nii.gz").read_bytes() for _ in range(2)]
    assert packed[0] == packed[1]
    assert packed[0][4:8] == bytes(4)  # no time stamp
    header = gzip.decompress(packed[0])[:352]
    for text in (b"Time", b"2024", b"Elsewhere", b"Who", b"DOE", b"T1"):
        assert text not in header
    assert nibabel.load(convert(phantom.files).folder / "input_2.nii.gz").header["descrip"].item() == b""


def test_labels_match_the_image_grid_exactly(make: Any, convert: Any, world_values: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    labels = (phantom.voxels == 2000).astype(np.uint8)
    labels[3:6, 20:25, 0] = 2  # reaches the first slice
    labels[0, 0, -1] = 2  # and the last corner
    phantom.files.append(make.segmentation(tmp_path / "made", phantom, labels))
    done = convert(phantom.files)
    assert (done.files, done.reason) == (["input_2.nii.gz", "label_2.nii.gz"], "")
    image, label = (nibabel.load(done.folder / name) for name in done.files)
    assert label.shape == image.shape
    np.testing.assert_array_equal(label.affine, image.affine)
    phantom.files.clear()
    got = world_values(done.folder / "label_2.nii.gz", phantom)
    for value in (1, 2):
        dice = 2 * np.sum((got == value) & (labels == value)) / (np.sum(got == value) + np.sum(labels == value))
        assert dice == 1.0


def test_labels_pair_with_the_series_that_they_refer_to(make: Any, convert: Any, tmp_path: Path) -> None:
    first = make.series(tmp_path / "made", "A1", number=2)
    second = make.series(tmp_path / "made", "A1", number=5, shape=(32, 32), seed=1)
    files = first.files + second.files
    blocks = (second.voxels == 2000).astype(np.uint8)
    files += [make.segmentation(tmp_path / "made", second, blocks, number) for number in (100, 101)]
    done = convert(files)
    assert done.files == ["input_2.nii.gz", "input_5.nii.gz", "label_5.nii.gz", "label_5_2.nii.gz"]


def test_a_label_without_its_image_is_left_out_with_the_reason(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    other = make.series(tmp_path / "other", "A9", number=8)
    segmentation = make.segmentation(tmp_path / "other", other, (other.voxels == 2000).astype(np.uint8))
    done = convert([*phantom.files, segmentation])
    assert done.files == ["input_2.nii.gz"]
    assert "refers to no image series" in done.reason


def test_a_broken_label_is_left_out_with_the_reason(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    path = make.segmentation(tmp_path / "made", phantom, (phantom.voxels == 2000).astype(np.uint8))
    data = pydicom.dcmread(path)
    del data.SegmentSequence
    data.save_as(path)
    done = convert([*phantom.files, path])
    assert done.files == ["input_2.nii.gz"]
    assert "cannot be read as a label map" in done.reason


def test_a_label_elsewhere_in_space_is_refused(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    path = make.segmentation(tmp_path / "made", phantom, (phantom.voxels == 2000).astype(np.uint8))
    data = pydicom.dcmread(path)
    for frame in data.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [float(v) + 5000 for v in position]
    data.save_as(path)
    assert "outside the image" in convert([*phantom.files, path]).reason


def test_a_file_that_is_no_segmentation_makes_no_label(make: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path, "A1", slices=1)
    with pytest.raises(LabelError, match="cannot be read"):
        write_labels(phantom.files[0], read_instance(phantom.files[0]), {}, 10**9)


def test_a_missing_slice_fails_the_study_with_the_reason(make: Any, convert: Any, tmp_path: Path) -> None:
    whole = make.series(tmp_path / "made", "A1", number=1)
    broken = make.series(tmp_path / "made", "A1", number=2)
    del broken.files[5]
    done = convert(whole.files + broken.files)
    assert done.files == []
    assert done.reason.startswith("series 2 cannot be converted: slices are missing")
    assert list(done.folder.glob("*.nii.gz")) == []


def test_a_duplicate_slice_is_taken_once(make: Any, convert: Any, world_values: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    done = convert([*phantom.files, phantom.files[4], phantom.files[7]])
    assert done.reason == ""
    np.testing.assert_array_equal(world_values(done.folder / "input_2.nii.gz", phantom), phantom.voxels)


def test_a_second_instance_at_the_same_place_fails_the_study(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    data = pydicom.dcmread(phantom.files[4])
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.InstanceNumber = 99
    data.save_as(tmp_path / "twin.dcm")
    done = convert([*phantom.files, tmp_path / "twin.dcm"])
    assert done.files == []
    assert "series 2 cannot be converted" in done.reason


@pytest.mark.parametrize("keep", [-300, -1])
def test_cut_pixel_data_fail_the_study(make: Any, convert: Any, tmp_path: Path, keep: int) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    phantom.files[3].write_bytes(phantom.files[3].read_bytes()[:keep])
    done = convert(phantom.files)
    assert done.files == []
    assert done.reason == "series 2 cannot be converted: instance 4: its pixel data are cut short"


def test_empty_pixel_data_fail_the_study(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=3)
    data = pydicom.dcmread(phantom.files[0])
    data.PixelData = b""
    data.save_as(phantom.files[0])
    assert convert(phantom.files).reason.endswith("instance 1: its pixel data are empty")


def test_garbage_in_compressed_pixel_data_fails_the_study(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=3)
    data = pydicom.dcmread(phantom.files[1])
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    data.PixelData = pydicom.encaps.encapsulate([os.urandom(500)])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.save_as(phantom.files[1])
    done = convert(phantom.files)
    assert done.files == []
    assert "series 2 cannot be converted" in done.reason


def test_an_empty_series_is_left_out_and_the_others_come(make: Any, convert: Any, tmp_path: Path) -> None:
    good = make.series(tmp_path / "made", "A1", number=2)
    empty = make.series(tmp_path / "made", "A1", number=3, slices=2)
    for path in empty.files:
        data = pydicom.dcmread(path)
        del data.PixelData
        data.save_as(path)
    done = convert(good.files + empty.files)
    assert done.files == ["input_2.nii.gz"]
    assert done.reason == "series 3 is left out: it is empty"


def test_one_instance_without_pixels_fails_its_series(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    data = pydicom.dcmread(phantom.files[0])
    del data.PixelData
    data.save_as(phantom.files[0])
    assert convert(phantom.files).reason.endswith("instance 1: it has no pixel data")


def test_a_study_of_reports_only_has_no_nifti(convert: Any) -> None:
    done = convert([Path(get_testdata_file("test-SR.dcm"))])
    assert done.files == []
    assert done.reason == "the study holds no image series"


def test_a_slow_series_is_given_up(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    done = convert(phantom.files, timeout_seconds=0.0001)
    assert done.reason == "series 2 cannot be converted: dcm2niix took over 0.0001 s"


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_genuine_scanner_files_convert(convert: Any, name: str) -> None:
    source = pydicom.dcmread(get_testdata_file(name))
    done = convert([Path(get_testdata_file(name))])
    assert len(done.files) == 1
    image = nibabel.load(done.folder / done.files[0])
    values = image.get_fdata().squeeze()
    slope, intercept = float(source.get("RescaleSlope", 1)), float(source.get("RescaleIntercept", 0))
    wanted = np.sort((source.pixel_array * slope + intercept).ravel())
    np.testing.assert_allclose(np.sort(values.ravel()), wanted)
    corner = np.diag([-1.0, -1.0, 1.0]) @ np.array(source.ImagePositionPatient, dtype=float)
    corners = [image.affine @ [x, y, 0, 1] for x in (0, image.shape[0] - 1) for y in (0, image.shape[1] - 1)]
    assert min(np.abs(at[:3] - corner).max() for at in corners) < 0.01


def test_genuine_scanner_series_convert_or_say_why(convert: Any) -> None:
    root = Path(get_testdata_file("dicomdirtests/DICOMDIR")).parent
    studies: dict[str, list[Path]] = {}
    for path in sorted(root.glob("*/*/*")):
        if path.is_file():
            studies.setdefault(read_instance(path).study_uid, []).append(path)
    assert len(studies) >= 3
    for files in studies.values():
        done = convert(files)
        assert done.files or done.reason


def test_series_names_are_unique_and_in_order() -> None:
    def instance(number: int, uid: str) -> Instance:
        return Instance("f", 1, uid, "1.2.840.10008.5.1.4.1.1.4", "1", uid, number, 1, "", True)

    series = image_series([instance(3, "1.9"), instance(3, "1.2"), instance(-1, "1.3")])
    assert [(item.uid, item.name) for item in series] == [("1.3", "-1"), ("1.2", "3"), ("1.9", "3_2")]


def test_two_echoes_of_one_series_are_two_volumes(make: Any, convert: Any, tmp_path: Path) -> None:
    phantom = make.series(tmp_path / "made", "A1")
    second = make.series(tmp_path / "echo2", "A1", seed=2)
    for number, path in enumerate(second.files):
        data = pydicom.dcmread(path)
        data.EchoTime, data.EchoNumbers = 30.0, 2
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.InstanceNumber = 100 + number
        data.save_as(path)
    labels = (phantom.voxels == 2000).astype(np.uint8)
    segmentation = make.segmentation(tmp_path / "made", phantom, labels)
    done = convert([*phantom.files, *second.files, segmentation])
    assert done.files == ["input_2_v1.nii.gz", "input_2_v2.nii.gz", "label_2_v1.nii.gz"]


def test_what_is_not_dicom_is_refused(library: Library, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    with pytest.raises(StoreError, match="holds no instance"):
        library.commit(PROJECT, "A1", fetched)
    (fetched / "x.dcm").write_bytes(b"no DICOM")
    with pytest.raises(UnreadableFile, match="not DICOM"):
        library.commit(PROJECT, "A1", fetched)


def test_a_file_without_identity_is_refused(make: Any, tmp_path: Path) -> None:
    path = make.series(tmp_path, "A1", slices=1).files[0]
    data = pydicom.dcmread(path)
    data.SeriesInstanceUID = ""
    data.save_as(path)
    with pytest.raises(UnreadableFile, match="SeriesInstanceUID"):
        read_instance(path)


def test_a_study_with_a_changed_file_is_no_study(make: Any, library: Library, tmp_path: Path) -> None:
    make.series(tmp_path / "fetched", "A1", slices=3)
    study: Study = library.commit(PROJECT, "A1", tmp_path / "fetched")
    assert library.study(PROJECT, "A1") == study
    path = study.folder / study.instances[1].file
    path.write_bytes(path.read_bytes()[:-1])
    assert library.study(PROJECT, "A1") is None
    path.unlink()
    assert library.study(PROJECT, "A1") is None
    (study.folder / "manifest.json").write_text("{")
    assert library.study(PROJECT, "A1") is None


def test_packing_refuses_what_is_no_whole_nifti(tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_bytes(bytes(400))
    with pytest.raises(NiftiError, match="not a NIfTI"):
        pack_nifti(tmp_path / "x.nii", tmp_path / "x.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.int16), np.eye(4)), tmp_path / "y.nii")
    whole = (tmp_path / "y.nii").read_bytes()
    (tmp_path / "y.nii").write_bytes(whole[:-2])
    with pytest.raises(NiftiError, match="cut short"):
        pack_nifti(tmp_path / "y.nii", tmp_path / "y.nii.gz")


def test_packing_drops_header_extensions(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"JANE DOE"))
    nibabel.save(image, tmp_path / "x.nii")
    pack_nifti(tmp_path / "x.nii", tmp_path / "x.nii.gz")
    raw = gzip.decompress((tmp_path / "x.nii.gz").read_bytes())
    assert b"JANE" not in raw
    assert struct.unpack("<f", raw[108:112])[0] == 352
    np.testing.assert_array_equal(nibabel.load(tmp_path / "x.nii.gz").get_fdata(), image.get_fdata())

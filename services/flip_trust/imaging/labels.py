"""DICOM-SEG to a label volume in the grid of the image it belongs to."""

import gzip
import math
import warnings
from pathlib import Path

import highdicom
import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from flip_trust.imaging.dicom import Instance

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_GZIP_LEVEL = 1


class LabelError(Exception):
    """A segmentation cannot be made into a label; the text says why."""


def write_labels(path: Path, segmentation: Instance, volumes: dict[str, list[Path]], max_bytes: int) -> None:
    """Writes `label_<series>.nii.gz` beside the image that the DICOM-SEG file at `path` refers to.

    The label has the image's shape and affine; its values are the segment numbers, 0 is none of them. Of several
    volumes of the series, the one that takes most of the label gets it. A second segmentation of the same image is
    `label_<series>_2.nii.gz`.

    Args:
        volumes: NIfTI files of each image series, by series UID.
        max_bytes: the frames, and the volume that they span, may take this much, a byte a voxel.

    Raises:
        LabelError: too large, not readable, overlapping segments, or no image in the study that it refers to.
        OSError: the disk is full.
    """
    if segmentation.unpacked > max_bytes:
        raise LabelError(f"it declares frames of {segmentation.unpacked} bytes, {_over(max_bytes)}")
    try:
        label, referenced = _read(path, max_bytes)
    except (OSError, LabelError):
        raise
    except Exception as error:  # noqa: BLE001 - highdicom and pydicom raise anything on hostile input
        raise LabelError(f"it cannot be read as a label map ({type(error).__name__})") from None
    candidates = [volume for uid in referenced for volume in volumes.get(uid, [])]
    if not candidates:
        raise LabelError("it refers to no image series of this study")
    fits = [(candidate, grid := nibabel.load(candidate), _resample(label, grid)) for candidate in candidates]
    best, image, voxels = max(fits, key=lambda fit: int(np.count_nonzero(fit[2])))
    if np.any(label.dataobj) and not voxels.any():
        raise LabelError("it lies outside the image that it refers to")
    _write(_free_name(best), voxels, image.affine)


def _over(max_bytes: int) -> str:
    return f"over CONVERSION_MAX_BYTES={max_bytes}"


def _read(path: Path, max_bytes: int) -> tuple[nibabel.Nifti1Image, list[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that do not matter to geometry and labels
        segmentation = highdicom.seg.segread(path)
        # Two frames that lie a kilometre apart span a volume of all that is between them.
        geometry = segmentation.get_volume_geometry(allow_missing_positions=True)
        spanned = math.prod(geometry.spatial_shape) if geometry is not None else 0
        if spanned > max_bytes:
            raise LabelError(f"it spans {spanned} voxels, {_over(max_bytes)}")
        volume = segmentation.get_volume(combine_segments=True)
    referenced = [str(item.SeriesInstanceUID) for item in segmentation.get("ReferencedSeriesSequence", [])]
    highest = int(volume.array.max(initial=0))
    kind = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
    # One empty voxel all round: without it, rounding at the crop's edge would lose the outermost slice.
    padded = np.pad(volume.array.astype(kind), 1)
    affine = _LPS_TO_RAS @ volume.affine
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    return nibabel.Nifti1Image(padded, affine), referenced


def _resample(label: nibabel.Nifti1Image, grid: nibabel.Nifti1Image) -> NDArray[np.uint16]:
    fitted = resample_from_to(label, (grid.shape[:3], grid.affine), order=0)
    voxels: NDArray[np.uint16] = np.asanyarray(fitted.dataobj)
    return voxels


def _free_name(image: Path) -> Path:
    stem = image.name.removeprefix("input_").removesuffix(".nii.gz")
    target, number = image.with_name(f"label_{stem}.nii.gz"), 1
    while target.exists():
        number += 1
        target = image.with_name(f"label_{stem}_{number}.nii.gz")
    return target


def _write(target: Path, voxels: NDArray[np.uint16], affine: NDArray[np.float64]) -> None:
    image = nibabel.Nifti1Image(voxels, affine)
    with target.open("wb") as file, gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
        packed.write(image.to_bytes())

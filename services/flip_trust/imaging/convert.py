"""DICOM series to NIfTI, in world space as the scanner saw it."""

import errno
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import dcm2niix
from pydicom.uid import UID

from flip_trust.imaging.dicom import Instance
from flip_trust.imaging.durable import write_json
from flip_trust.imaging.labels import LabelError, write_labels
from flip_trust.imaging.library import REPORT, Study
from flip_trust.imaging.nifti import NiftiError, pack_nifti

# What dcm2niix says on its output, and what it means to the reader. It is never shown itself: it names files.
_MEANINGS = {
    "Interslice distance varies": "slices are missing, or their distance varies",
    "Missing images": "slices are missing",
    "File not large enough": "the pixel data of an instance are cut short",
    "No valid DICOM images": "it holds no image that can be read",
}


class ConversionError(Exception):
    """A series cannot be converted. The text names the series by number and says why."""


@dataclass(frozen=True)
class Series:
    """One series of images; `name` is unique in the study and safe in a file name."""

    uid: str
    name: str
    instances: tuple[Instance, ...]


def convert_study(study: Study, folder: Path, timeout_seconds: float) -> None:
    """Fills the empty `folder` with `input_<series>.nii.gz`, `label_<series>.nii.gz` and the report of it.

    `<series>` is the series number; a second series of the same number is `<number>_2`, and where one series gives
    several volumes (echoes, orientations of a localizer) they are `<series>_v1`, `<series>_v2`... The order is that
    of series number and UID, so names are the same at every conversion.

    A series without an image is left out and named in the report. When a series that holds images cannot be
    converted whole (a slice is missing, pixel data are cut short), no NIfTI of the study is given out, with the
    reason: half a volume, or another series in its place, would be taken for the patient's.

    Raises:
        OSError: the disk is full. Nothing else about the study's files raises: it is in the report.
    """
    reasons: list[str] = []
    try:
        volumes = _convert_series(study, folder, reasons, timeout_seconds)
    except ConversionError as error:
        for path in folder.iterdir():
            path.unlink()
        write_json(folder / REPORT, {"files": {}, "reason": str(error)})
        return
    for segmentation in (item for item in study.instances if item.segmentation):
        try:
            write_labels(study.folder / segmentation.file, segmentation, volumes)
        except LabelError as error:
            reasons.append(f"segmentation series {segmentation.series_number} is left out: {error}")
    if not volumes:
        reasons.append("the study holds no image series")
    files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    write_json(folder / REPORT, {"files": files, "reason": "; ".join(reasons)})


def image_series(instances: Iterable[Instance]) -> list[Series]:
    """Groups image instances into series, in order of series number; series of other objects are not among them."""
    groups: dict[tuple[int, str], list[Instance]] = {}
    for instance in instances:
        if "Image Storage" in UID(instance.sop_class).name:
            groups.setdefault((instance.series_number, instance.series_uid), []).append(instance)
    series: list[Series] = []
    seen: dict[int, int] = {}
    for (number, uid), members in sorted(groups.items()):
        seen[number] = seen.get(number, 0) + 1
        name = str(number) if seen[number] == 1 else f"{number}_{seen[number]}"
        series.append(Series(uid, name, tuple(members)))
    return series


def _convert_series(study: Study, folder: Path, reasons: list[str], timeout_seconds: float) -> dict[str, list[Path]]:
    volumes: dict[str, list[Path]] = {}
    for series in image_series(study.instances):
        if not any(instance.pixels for instance in series.instances):
            reasons.append(f"series {series.name} is left out: it is empty")
            continue
        for instance in series.instances:
            problem = instance.problem or ("" if instance.pixels else "it has no pixel data")
            if problem:
                number = instance.instance_number
                raise ConversionError(f"series {series.name} cannot be converted: instance {number}: {problem}")
        volumes[series.uid] = _run_dcm2niix(study.folder, series, folder, timeout_seconds)
    return volumes


def _run_dcm2niix(source: Path, series: Series, folder: Path, timeout_seconds: float) -> list[Path]:
    # A folder of its own for every run: dcm2niix takes all files it finds, and renames rather than overwrites.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        inputs, outputs = Path(scratch, "in"), Path(scratch, "out")
        inputs.mkdir()
        outputs.mkdir()
        for instance in series.instances:
            os.link(source / instance.file, inputs / instance.file)
        command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "volume", "-o", str(outputs), str(inputs)]
        try:
            # Native code that reads files of others gets none of this service's secrets.
            done = subprocess.run(command, env={}, capture_output=True, timeout=timeout_seconds, check=False)
        except subprocess.TimeoutExpired:
            raise ConversionError(
                f"series {series.name} cannot be converted: dcm2niix took over {timeout_seconds:g} s"
            ) from None
        made = sorted(outputs.glob("*.nii"))
        if done.returncode != 0 or not made:
            _raise_if_disk_full(folder, series, done.returncode)
            said = done.stdout.decode(errors="replace")
            meaning = next((text for sign, text in _MEANINGS.items() if sign in said), "")
            why = meaning or f"dcm2niix ended with status {done.returncode}"
            raise ConversionError(f"series {series.name} cannot be converted: {why}")
        targets = []
        for number, path in enumerate(made, start=1):
            suffix = f"_v{number}" if len(made) > 1 else ""
            targets.append(folder / f"input_{series.name}{suffix}.nii.gz")
            try:
                pack_nifti(path, targets[-1])
            except NiftiError as error:
                _raise_if_disk_full(folder, series, done.returncode)
                raise ConversionError(f"series {series.name} cannot be converted: {error}") from None
        return targets


def _raise_if_disk_full(folder: Path, series: Series, returncode: int) -> None:
    # dcm2niix does not say that it ran out of room, and that must never pass for a fault of the study.
    if returncode == -signal.SIGXFSZ:
        raise OSError(errno.EFBIG, "dcm2niix hit the file size limit")
    if shutil.disk_usage(folder).free < sum(instance.size for instance in series.instances):
        raise OSError(errno.ENOSPC, "no room for the converted series")

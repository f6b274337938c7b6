"""DICOM series to NIfTI, in world space as the scanner saw it."""

import errno
import os
import resource
import signal
import subprocess
import tempfile
import time
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
from flip_trust.imaging.room import Room

PRLIMIT = "/usr/bin/prlimit"  # of util-linux, which every Debian and Ubuntu has
_LOOK_SECONDS = 0.25

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
class ConversionLimits:
    """What the conversion of one series may take. A segmentation, too, may unpack to `unpacked_bytes` at most."""

    timeout_seconds: float
    unpacked_bytes: int
    memory_bytes: int


@dataclass(frozen=True)
class Series:
    """One series of images; `name` is unique in the study and safe in a file name."""

    uid: str
    name: str
    instances: tuple[Instance, ...]


def convert_study(study: Study, folder: Path, limits: ConversionLimits, room: Room) -> None:
    """Fills the empty `folder` with `input_<series>.nii.gz`, `label_<series>.nii.gz` and the report of it.

    `<series>` is the series number; a second series of the same number is `<number>_2`, and where one series gives
    several volumes (echoes, orientations of a localizer) they are `<series>_v1`, `<series>_v2`... The order is that
    of series number and UID, so names are the same at every conversion.

    A series without an image is left out and named in the report. When a series that holds images cannot be
    converted whole (a slice is missing, pixel data are cut short, a limit is reached), no NIfTI of the study is given
    out, with the reason: half a volume, or another series in its place, would be taken for the patient's.

    Raises:
        OSError: the disk is full. Nothing else about the study's files raises: it is in the report.
    """
    reasons: list[str] = []
    try:
        volumes = _convert_series(study, folder, reasons, limits, room)
    except ConversionError as error:
        for path in folder.iterdir():
            path.unlink()
        write_json(folder / REPORT, {"files": {}, "reason": str(error)})
        return
    for segmentation in (item for item in study.instances if item.segmentation):
        try:
            write_labels(study.folder / segmentation.file, segmentation, volumes, limits.unpacked_bytes)
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


def _convert_series(
    study: Study, folder: Path, reasons: list[str], limits: ConversionLimits, room: Room
) -> dict[str, list[Path]]:
    volumes: dict[str, list[Path]] = {}
    for series in image_series(study.instances):
        if not any(instance.pixels for instance in series.instances):
            reasons.append(f"series {series.name} is left out: it is empty")
            continue
        try:
            _check_series(series, limits)
            volumes[series.uid] = _run_dcm2niix(study.folder, series, folder, limits, room)
        except ConversionError as error:
            raise ConversionError(f"series {series.name} cannot be converted: {error}") from None
    return volumes


def _check_series(series: Series, limits: ConversionLimits) -> None:
    for instance in series.instances:
        problem = instance.problem or ("" if instance.pixels else "it has no pixel data")
        if problem:
            raise ConversionError(f"instance {instance.instance_number}: {problem}")
    unpacked = sum(instance.unpacked for instance in series.instances)
    if unpacked > limits.unpacked_bytes:
        raise ConversionError(
            f"it declares images of {unpacked} bytes, over CONVERSION_MAX_BYTES={limits.unpacked_bytes}"
        )


def _run_dcm2niix(source: Path, series: Series, folder: Path, limits: ConversionLimits, room: Room) -> list[Path]:
    # A folder of its own for every run: dcm2niix takes all files it finds, and renames rather than overwrites.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        inputs, outputs = Path(scratch, "in"), Path(scratch, "out")
        inputs.mkdir()
        outputs.mkdir()
        for instance in series.instances:
            os.link(source / instance.file, inputs / instance.file)
        room.check(sum(instance.unpacked for instance in series.instances))
        status, said = _limited(
            [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "volume", "-o", str(outputs), str(inputs)], limits, room
        )
        made = sorted(outputs.glob("*.nii"))
        if status != 0 or not made:
            # dcm2niix does not say that it ran out of room, and that must never pass for a fault of the study.
            room.check(sum(instance.size for instance in series.instances))
            raise ConversionError(_why(status, said, limits))
        targets = []
        for number, path in enumerate(made, start=1):
            suffix = f"_v{number}" if len(made) > 1 else ""
            targets.append(folder / f"input_{series.name}{suffix}.nii.gz")
            try:
                pack_nifti(path, targets[-1])
            except NiftiError as error:
                room.check(sum(instance.size for instance in series.instances))
                raise ConversionError(str(error)) from None
        return targets


def _limited(command: list[str], limits: ConversionLimits, room: Room) -> tuple[int, str]:
    """Runs native code that reads files of others: with no secret of this service, within limits of everything."""
    memory, file_size = _no_more_than(resource.RLIMIT_AS, limits.memory_bytes), _file_size(limits)
    command = [PRLIMIT, f"--as={memory}", f"--fsize={file_size}", "--", *command]
    deadline = time.monotonic() + limits.timeout_seconds
    with subprocess.Popen(
        command, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            while True:
                try:
                    said, _ = process.communicate(timeout=min(_LOOK_SECONDS, limits.timeout_seconds))
                    return process.returncode, said.decode(errors="replace")
                except subprocess.TimeoutExpired:
                    if time.monotonic() >= deadline:
                        raise ConversionError(f"dcm2niix took over {limits.timeout_seconds:g} s") from None
                    room.check()
        finally:
            process.kill()


def _file_size(limits: ConversionLimits) -> int:
    # Twice, for dcm2niix writes scaled 16-bit values as 32-bit ones.
    return _no_more_than(resource.RLIMIT_FSIZE, 2 * limits.unpacked_bytes)


def _no_more_than(kind: int, wanted: int) -> int:
    inherited = resource.getrlimit(kind)[0]
    return wanted if inherited == resource.RLIM_INFINITY else min(inherited, wanted)


def _why(status: int, said: str, limits: ConversionLimits) -> str:
    if status == -signal.SIGXFSZ:
        if _file_size(limits) < 2 * limits.unpacked_bytes:
            raise OSError(errno.EFBIG, "dcm2niix hit the file size limit of this service")
        return f"its volume takes over twice CONVERSION_MAX_BYTES={limits.unpacked_bytes}"
    meaning = next((text for sign, text in _MEANINGS.items() if sign in said), "")
    if status < 0 and not meaning:
        number = signal.Signals(-status).name
        return f"dcm2niix ended by {number}; it may take CONVERSION_MEMORY_BYTES={limits.memory_bytes} of memory"
    return meaning or f"dcm2niix ended with status {status}"

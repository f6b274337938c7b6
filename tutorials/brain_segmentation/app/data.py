"""From a site's studies to slices: one grid, comparable brightness, split by patient."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from flip import FLIP

log = logging.getLogger(__name__)

SPACING_MM = 2.0
GRID = (96, 112)
"""Pixels of a prepared slice, left-right by back-front."""
CACHE_NAME = "prepared-brain-segmentation-v1.npz"
VALIDATION_SHARE = 0.25
HEAD_SHARE = 0.2
"""Brighter than this share of the brightest is head; below is air and its noise."""


@dataclass(frozen=True)
class Volume:
    """One image and its label.

    `image` (slices, 2, 96, 112) float32: a T1-like image fills channel 0, a T2-like one channel 1, the other is 0.
    `label` (slices, 96, 112) int64 of 0 background, 1 grey matter, 2 white matter.
    """

    image: Tensor
    label: Tensor


@dataclass(frozen=True)
class Cohort:
    """A site's volumes; no patient is in both parts."""

    train: list[Volume]
    validation: list[Volume]


def load_cohort(flip: FLIP, project_id: str, query: str) -> Cohort:
    """Reads every study of the cohort that has an image with a label; leaves out, and counts, what has not.

    Raises:
        ValueError: fewer than two patients are left, so there is nothing to validate on.
    """
    frame = flip.get_dataframe(project_id=project_id, query=query)
    patients = _patients(frame)
    volumes: dict[str, list[Volume]] = {}
    left_out = 0
    for study in flip.iter_studies(project_id, frame):
        pairs = study.pairs()
        left_out += not pairs
        if pairs and study.path is not None:
            volumes.setdefault(patients[study.accession_id], []).extend(_prepared(study.path, pairs))
    log.info("%d patients with labelled images, %d studies left out", len(volumes), left_out)
    if len(volumes) < 2:
        raise ValueError(f"{len(volumes)} patients have labelled images; training and validation need one each")
    order = sorted(volumes, key=lambda patient: hashlib.sha256(patient.encode()).digest())
    held_out = max(1, round(VALIDATION_SHARE * len(order)))
    return Cohort(
        train=[volume for patient in order[held_out:] for volume in volumes[patient]],
        validation=[volume for patient in order[:held_out] for volume in volumes[patient]],
    )


def _patients(frame: pd.DataFrame) -> dict[str, str]:
    """Which patient an accession belongs to; without `person_id` each accession counts as its own."""
    rows = frame.dropna(subset=["accession_id"])
    accessions = rows["accession_id"].astype(str)
    people = rows["person_id"].astype(str) if "person_id" in rows.columns else accessions
    return dict(zip(accessions, people, strict=True))


def _prepared(folder: Path, pairs: list[tuple[Path, Path]]) -> list[Volume]:
    """The study's volumes, from the cache beside its files: Flower starts a new process for every message."""
    cache = folder / CACHE_NAME
    if not cache.is_file():
        images, labels = zip(*(prepare(image, label) for image, label in pairs), strict=True)
        partial = cache.with_suffix(f".{os.getpid()}.part")
        with partial.open("wb") as file:
            np.savez(file, sizes=[len(image) for image in images], x=np.concatenate(images), y=np.concatenate(labels))
        partial.replace(cache)
    with np.load(cache) as stored:
        sizes = stored["sizes"].tolist()
        images = torch.from_numpy(stored["x"].astype(np.float32)).split(sizes)
        labels = torch.from_numpy(stored["y"].astype(np.int64)).split(sizes)
    return [Volume(image, label) for image, label in zip(images, labels, strict=True)]


def prepare(image_path: Path, label_path: Path) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.uint8]]:
    """One volume on the common grid: image (slices, 2, 96, 112) as in `Volume`, label (slices, 96, 112).

    Slices stay as the scanner made them (gaps differ between hospitals); only the plane is resampled.

    Raises:
        ValueError: image and label are not on one grid, or the image is empty.
    """
    # Any: nibabel has no types.
    image: Any = nibabel.as_closest_canonical(nibabel.load(image_path))
    label: Any = nibabel.as_closest_canonical(nibabel.load(label_path))
    if image.shape[:3] != label.shape[:3]:
        raise ValueError(f"image {image.shape} and label {label.shape} are not on one grid")
    spacing = image.header.get_zooms()[:3]
    across = int(np.argmax(spacing))
    plane = [spacing[axis] for axis in range(3) if axis != across]
    x = _slices(np.asarray(image.dataobj, dtype=np.float32), across)
    y = _slices(np.asarray(label.dataobj, dtype=np.float32), across)
    size = [max(1, round(n * mm / SPACING_MM)) for n, mm in zip(x.shape[2:], plane, strict=True)]
    x = _fit(interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True))
    y = _fit(interpolate(y, size=size, mode="nearest-exact"))
    return _by_contrast(x[:, 0].numpy()).astype(np.float16), y[:, 0].round().numpy().astype(np.uint8)


def _slices(volume: npt.NDArray[np.float32], across: int) -> Tensor:
    if volume.ndim == 4:
        volume = volume[..., 0]
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(volume, across, 0)))[:, None]


def _fit(stack: Tensor) -> Tensor:
    """Crops or pads around the middle to the common grid."""
    pads: list[int] = []
    for have, want in zip(reversed(stack.shape[2:]), reversed(GRID), strict=True):
        before = (want - have) // 2
        pads += [before, want - have - before]
    return torch.nn.functional.pad(stack, pads)


def _by_contrast(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean 0 and deviation 1 over the head, in the channel of the image's family of contrasts.

    Bright means white matter under T1 and fluid under T2: in one channel, two hospitals would pull the same weights
    opposite ways. The head's brightness has its long tail on the dark side under T1, on the bright side under T2.

    Raises:
        ValueError: the image is empty.
    """
    image = np.nan_to_num(image)
    top = float(np.percentile(image, 99.5))
    head = image[image > HEAD_SHARE * top]
    if top <= 0 or head.size == 0:
        raise ValueError("the image is empty")
    standard = np.clip((image - head.mean()) / (head.std() + 1e-6), -4, 4)
    skewness = float((((head - head.mean()) / (head.std() + 1e-6)) ** 3).mean())
    channels = np.zeros((len(image), 2, *image.shape[1:]), dtype=np.float32)
    channels[:, int(skewness > 0)] = standard
    return channels

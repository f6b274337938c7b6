"""The scanners of the demo: how a trust's MR machine sees a brain, and where its slices lie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipctl.data.anatomy import CENTRE_RAS, Volume, turn

MAX_SIGNAL = 4095
_LPS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Scanner:
    """An MR scanner and its protocol; lengths in mm, angles in degrees, noise and bias relative to full signal."""

    name: str
    manufacturer: str
    sequence: str
    slices: int
    rows: int
    columns: int
    pixel_mm: float
    thickness_mm: float
    spacing_mm: float
    tilt: float
    noise: float
    bias: float
    inverted: bool
    echo_ms: float
    repetition_ms: float
    tesla: float


SCANNERS = (
    Scanner(
        name="T1, straight, quiet",
        manufacturer="FLIP Demo Scanners A",
        sequence="T1W AX",
        slices=26,
        rows=112,
        columns=96,
        pixel_mm=1.9,
        thickness_mm=4.0,
        spacing_mm=5.2,
        tilt=0.0,
        noise=0.02,
        bias=0.0,
        inverted=False,
        echo_ms=4.0,
        repetition_ms=600.0,
        tesla=1.5,
    ),
    Scanner(
        name="T2, tilted, noisy, uneven",
        manufacturer="FLIP Demo Scanners B",
        sequence="T2W AX OBL",
        slices=24,
        rows=104,
        columns=88,
        pixel_mm=2.1,
        thickness_mm=5.0,
        spacing_mm=5.8,
        tilt=14.0,
        noise=0.045,
        bias=0.25,
        inverted=True,
        echo_ms=95.0,
        repetition_ms=4200.0,
        tesla=3.0,
    ),
)


@dataclass(frozen=True)
class SliceStack:
    """Where the slices of one series lie, in DICOM's patient coordinates (LPS, mm)."""

    rotation: NDArray[np.float64]
    positions: NDArray[np.float64]
    """Centre of the first pixel of every slice, (slices, 3)."""
    points_ras: NDArray[np.float64]
    """Every pixel's centre in RAS, (slices, rows, columns, 3)."""

    @property
    def orientation(self) -> list[float]:
        """ImageOrientationPatient: direction of a row, then of a column."""
        return [round(float(value), 8) for value in (*self.rotation[:, 0], *self.rotation[:, 1])]


def place_slices(scanner: Scanner, rng: np.random.Generator) -> SliceStack:
    """Places the slices over the brain, with a little of the operator's inaccuracy."""
    tilt = scanner.tilt + (rng.uniform(-3, 3) if scanner.tilt else 0.0)
    yaw = rng.uniform(-2, 2) if scanner.tilt else 0.0
    rotation = turn(np.array([tilt, 0.0, yaw]))
    centre = CENTRE_RAS * _LPS + rng.uniform(-3, 3, 3)
    column, row, slice_ = (
        (np.arange(count) - (count - 1) / 2) * step
        for count, step in (
            (scanner.columns, scanner.pixel_mm),
            (scanner.rows, scanner.pixel_mm),
            (scanner.slices, scanner.spacing_mm),
        )
    )
    z, y, x = np.meshgrid(slice_, row, column, indexing="ij")
    points = np.einsum("...i,ji->...j", np.stack([x, y, z], axis=-1), rotation) + centre
    return SliceStack(rotation, points[:, 0, 0], points * _LPS)


def acquire(scanner: Scanner, t1: Volume, rng: np.random.Generator) -> NDArray[np.uint16]:
    """The image the scanner makes of T1 signal sampled at its pixels, (slices, rows, columns), 12 bits."""
    signal = t1.astype(np.float32)
    if scanner.inverted:
        # What is dark under T1 inside the head (fluid) is bright under T2, and the reverse; air stays dark.
        inside = np.clip(signal / 0.15, 0, 1)
        signal = inside * (1.05 - 0.8 * signal)
    signal *= np.float32(rng.uniform(0.9, 1.1))
    if scanner.bias:
        signal *= _bias(signal.shape, scanner.bias, rng)
    real, imaginary = rng.standard_normal((2, *signal.shape), dtype=np.float32) * np.float32(scanner.noise)
    # The magnitude of a complex signal: noise in air is Rician and never negative.
    magnitude = np.hypot(signal + real, imaginary)
    return np.asarray(np.clip(np.rint(magnitude * 2800), 0, MAX_SIGNAL), dtype=np.uint16)


def _bias(shape: tuple[int, ...], strength: float, rng: np.random.Generator) -> Volume:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    slope = rng.uniform(-1, 1, 3)
    field = slope[0] * z + slope[1] * y + slope[2] * x + rng.uniform(-1, 1) * (x * x + y * y - 1)
    return np.asarray(1 + strength * field / np.abs(field).max(), dtype=np.float32)

"""Anatomy of a demo patient: the MNI152 template and its tissue maps under a smooth random deformation."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, map_coordinates

Volume = NDArray[np.float32]
GREY_MATTER, WHITE_MATTER = 1, 2
CENTRE_RAS = np.array([0.0, -16.0, 11.0], dtype=np.float32)
"""Middle of the template's brain, mm."""
WAVES, WAVE_MM, WAVE_LENGTH_MM = 6, 1.8, (70.0, 160.0)
_FILES = {name: f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm")}
_ARRAYS = ("t1", "grey", "white", "head", "origin")


def turn(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotation matrix of turns about x, then y, then z, in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(angles)), np.sin(np.radians(angles))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class Template:
    """The template at 1 mm. Volumes are (x, y, z), 0 to 1; `head` is where any is above 0, and one voxel more;
    `origin` is voxel 0 in RAS mm."""

    t1: Volume
    grey: Volume
    white: Volume
    head: NDArray[np.bool_]
    origin: NDArray[np.float32]

    @classmethod
    def from_nilearn(cls) -> "Template":
        """Reads what ships inside nilearn; equal to what its `load_mni152_*` return at 1 mm.

        nilearn itself is not imported: that takes longer than all the rest here.

        Raises:
            FileNotFoundError: nilearn is not installed, or holds no such files.
        """
        spec = importlib.util.find_spec("nilearn")
        if spec is None or not spec.submodule_search_locations:
            raise FileNotFoundError("package nilearn is not installed; install flip-platform[demo]")
        folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
        images = [nibabel.load(folder / _FILES[name]) for name in ("t1", "gm", "wm")]
        t1, grey, white = (np.asanyarray(image.dataobj).astype(np.float32) / 255 for image in images)
        head = binary_dilation((t1 > 0) | (grey > 0) | (white > 0))
        return cls(t1, grey, white, head, images[0].affine[:3, 3].astype(np.float32))

    def save(self, folder: Path) -> None:
        """Writes the arrays so that other processes can map them into memory."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def mapped(cls, folder: Path) -> "Template":
        """Maps what `save` wrote."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS))


@dataclass(frozen=True)
class Anatomy:
    """A patient's brain at sampled points: T1 signal, 0 to 1, and labels 0, GREY_MATTER, WHITE_MATTER."""

    t1: Volume
    labels: NDArray[np.uint8]


def sample_patient(template: Template, points: NDArray[np.float64], rng: np.random.Generator) -> Anatomy:
    """Samples one random patient at `points`, RAS mm, shape (..., 3).

    The patient is the template seen through an affine (turned by up to 6 degrees, scaled by up to 7 %, shifted by
    up to 5 mm) and a smooth displacement of a few millimetres. The rng alone decides who it is.
    """
    local = points.reshape(-1, 3).astype(np.float32) - CENTRE_RAS
    affine = turn(rng.uniform(-6, 6, 3)) @ np.diag(1 / rng.uniform(0.93, 1.07, 3))
    # einsum, not @: a product this thin only sets BLAS threads against each other.
    moved = np.einsum("ni,ji->nj", local, affine.astype(np.float32)) + rng.uniform(-5, 5, 3).astype(np.float32)
    index = moved + _displacement(local, rng) + (CENTRE_RAS - template.origin)
    nearest = np.rint(index).astype(np.intp)
    within = ((nearest >= 0) & (nearest < template.head.shape)).all(axis=-1)
    within[within] = template.head[tuple(nearest[within].T)]
    where = np.ascontiguousarray(index[within].T)
    # Most of a slice is air: only the head is interpolated.
    t1 = np.zeros(len(local), dtype=np.float32)
    labels = np.zeros(len(local), dtype=np.uint8)
    t1[within] = map_coordinates(template.t1, where, order=1, output=np.float32)
    grey, white = (
        map_coordinates(volume, where, order=1, output=np.float32) for volume in (template.grey, template.white)
    )
    tissue = np.where(grey >= white, GREY_MATTER, WHITE_MATTER)
    labels[within] = np.where(grey + white >= 0.5, tissue, 0)
    return Anatomy(t1.reshape(points.shape[:-1]), labels.reshape(points.shape[:-1]))


def _displacement(local: Volume, rng: np.random.Generator) -> Volume:
    # Long waves of small amplitude: smooth everywhere, and too gentle to fold space over itself.
    total = np.zeros_like(local)
    for _ in range(WAVES):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (np.linalg.norm(direction) * rng.uniform(*WAVE_LENGTH_MM))
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        amplitude = rng.normal(0, WAVE_MM, 3).astype(np.float32)
        total += np.sin(np.einsum("ni,i->n", local, direction.astype(np.float32)) + phase)[:, None] * amplitude
    return total

"""A pixel's brain probability from its brightness: logistic regression on the standardised image and its square."""

import numpy as np
from numpy.typing import NDArray


def predict(weights: dict[str, NDArray[np.float32]], image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Foreground mask of an image of any shape; `weights` are `coefficients` (2,) and `intercept` (1,)."""
    bright = (image - image.mean()) / (image.std() + 1e-6)
    linear, square = weights["coefficients"]
    mask: NDArray[np.bool_] = linear * bright + square * bright**2 + weights["intercept"][0] > 0
    return mask


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1; two empty masks agree."""
    size = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / size if size else 1.0

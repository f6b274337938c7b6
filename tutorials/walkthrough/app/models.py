"""A network small enough to follow by eye."""

from torch import nn


def get_model() -> nn.Module:
    """Three convolutions: a brightness in, a foreground score out, for every pixel of a slice."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 1, 1),
    )

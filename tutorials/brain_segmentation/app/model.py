"""A small U-Net that labels each pixel of a brain slice as background, grey or white matter."""

import torch
from flwr.app import Array, ArrayRecord
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

CHANNELS = 2
CLASSES = 3
"""0 background, 1 grey matter, 2 white matter."""


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    # Group norm has no running statistics, so every number of the model is a weight that can be averaged.
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.GroupNorm(4, channels_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.GroupNorm(4, channels_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """(N, 2, H, W) float32 -> (N, 3, H, W) logits; H and W divisible by 8. The two channels are two contrasts.

    2 x 2 pixels are folded into channels first and unfolded last: four times less work, same output grid.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.fold, self.unfold = nn.PixelUnshuffle(2), nn.PixelShuffle(2)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.down1 = _block(4 * CHANNELS, width)
        self.down2 = _block(width, 2 * width)
        self.bottom = _block(2 * width, 4 * width)
        self.up2 = _block(6 * width, 2 * width)
        self.up1 = _block(3 * width, width)
        self.head = nn.Conv2d(width, 4 * CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits a pixel and class."""
        fine = self.down1(self.fold(image))
        middle = self.down2(self.pool(fine))
        coarse = self.bottom(self.pool(middle))
        middle = self.up2(torch.cat([self.up(coarse), middle], dim=1))
        fine = self.up1(torch.cat([self.up(middle), fine], dim=1))
        logits: Tensor = self.unfold(self.head(fine))
        return logits


def make_model(seed: int) -> UNet:
    """The same initial weights for the same seed, everywhere."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet()


def pack(model: UNet) -> ArrayRecord:
    """All weights of a model as one vector.

    Flower sends each array of a record by itself, in requests of its own: for a small model of many layers that takes
    longer than the training.
    """
    return ArrayRecord({"weights": Array(parameters_to_vector(model.parameters()).detach().numpy())})


def unpack(arrays: ArrayRecord) -> UNet:
    """The model whose weights these are."""
    model = UNet()
    vector_to_parameters(torch.from_numpy(arrays["weights"].numpy()), model.parameters())
    return model

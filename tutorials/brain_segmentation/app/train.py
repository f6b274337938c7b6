"""Training for a number of steps, and Dice over whole volumes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from app.data import Volume
from app.model import CLASSES


def train(model: nn.Module, volumes: list[Volume], *, steps: int, batch: int, rate: float, seed: int) -> float:
    """Trains in place for `steps` batches of slices that hold brain; returns the mean loss.

    The same seed draws the same slices, so two models can be given exactly the same work.
    """
    image, label = _brain_slices(volumes)
    draw = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    model.train()
    total = 0.0
    for _ in range(steps):
        chosen = torch.randint(len(image), (batch,), generator=draw)
        x, y = _mirrored(image[chosen], label[chosen], draw)
        loss = segmentation_loss(model(x), y)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / steps


def segmentation_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy plus 1 - soft Dice of both tissues; logits (N, 3, H, W), label (N, H, W)."""
    probability = logits.softmax(dim=1)[:, 1:]
    truth = one_hot(label, CLASSES).movedim(-1, 1)[:, 1:].to(probability.dtype)
    overlap = (probability * truth).sum(dim=(0, 2, 3))
    size = (probability + truth).sum(dim=(0, 2, 3))
    return cross_entropy(logits, label) + 1 - ((2 * overlap + 1) / (size + 1)).mean()


@torch.no_grad()
def dice(model: nn.Module, volumes: list[Volume]) -> dict[str, float]:
    """Dice of grey matter (`gm`), white matter (`wm`) and their mean (`mean`), averaged over the volumes."""
    model.eval()
    scores = []
    for volume in volumes:
        found = torch.cat([model(part).argmax(dim=1) for part in volume.image.split(16)])
        scores.append([_overlap(found == tissue, volume.label == tissue) for tissue in (1, 2)])
    grey, white = (sum(column) / len(scores) for column in zip(*scores, strict=True))
    return {"gm": grey, "wm": white, "mean": (grey + white) / 2}


def _overlap(found: Tensor, truth: Tensor) -> float:
    size = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / size if size else 1.0


def _brain_slices(volumes: list[Volume]) -> tuple[Tensor, Tensor]:
    image, label = torch.cat([v.image for v in volumes]), torch.cat([v.label for v in volumes])
    brain = (label > 0).flatten(1).any(dim=1)
    if not brain.any():
        raise ValueError("no slice of the training volumes holds a label")
    return image[brain], label[brain]


def _mirrored(image: Tensor, label: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Left and right swapped in half of the slices."""
    swap = torch.rand(len(image), generator=draw) < 0.5
    return (
        torch.where(swap[:, None, None, None], image.flip(2), image),
        torch.where(swap[:, None, None], label.flip(1), label),
    )

"""What the demo holds itself to: the learning is real, the average is the average, the metrics are the clients'."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Check:
    """One thing that must hold."""

    name: str
    holds: bool
    found: str


def load(path: Path) -> Weights:
    """Arrays of an .npz by name; no pickles."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def weights_changed(initial: Weights, final: Weights) -> Check:
    """The final global weights differ from the initial ones."""
    change = max(float(np.abs(final[name].astype(float) - initial[name]).max()) for name in initial)
    return Check("training changed the global weights", change > TOLERANCE, f"largest change {change:.3g}")


def is_weighted_mean(final: Weights, locals_: Mapping[str, Weights], examples: Mapping[str, int]) -> Check:
    """The final global weights are the sample-weighted mean of the last round's local ones, to 1e-6."""
    total = sum(examples.values())
    worst = 0.0
    for name, value in final.items():
        mean = sum(local[name].astype(np.float64) * examples[trust] for trust, local in locals_.items()) / total
        worst = max(worst, float(np.abs(mean - value).max()))
    weights = ", ".join(f"{trust} {count}" for trust, count in examples.items())
    name = "final weights are the sample-weighted mean of the last local ones"
    return Check(name, worst <= TOLERANCE, f"largest difference {worst:.2g}; examples: {weights}")


def rises(series: Mapping[str, list[tuple[int, float]]], label: str) -> Check:
    """A metric's mean over the trusts is higher in the last round than in the first."""
    first, last = (mean_at(series, position) for position in (0, -1))
    return Check(f"{label} rises", last > first, f"{first:.3f} → {last:.3f}")


def mean_at(series: Mapping[str, list[tuple[int, float]]], position: int) -> float:
    """Mean over the trusts of the first (0) or last (-1) point."""
    return float(np.mean([sorted(points)[position][1] for points in series.values()]))


def beats_alone(scores: Mapping[str, Mapping[str, float]]) -> Check:
    """The global model's mean over all sites is above that of every model trained at one trust alone.

    `scores[model][site]` is the model's metric on that site's validation set.
    """
    means = {model: float(np.mean(list(by_site.values()))) for model, by_site in scores.items()}
    best_alone = max(value for model, value in means.items() if model != "global")
    found = ", ".join(f"{model} {value:.3f}" for model, value in means.items())
    return Check("federated beats each trust alone, same local steps", means["global"] > best_alone, found)


def metrics_match(hub: Iterable[Mapping[str, Any]], logs: Mapping[str, str]) -> Check:
    """Every metric at the hub is, bit for bit, one that the client noted in its own site's log, and none is missing.

    A site's FL client notes `FLIP_METRICS {"task": ..., "round": ..., "metrics": {...}}`; the log never leaves it.
    """
    computed = {
        (trust, name, line["round"], value)
        for trust, text in logs.items()
        for line in map(json.loads, re.findall(r"FLIP_METRICS (\{.*\})", text))
        for name, value in line["metrics"].items()
    }
    at_hub = {
        # Where training and evaluation used one label, the hub has the second as `evaluate/<label>`.
        (series["trust"], series["label"].removeprefix("evaluate/"), point["round"], point["value"])
        for series in hub
        for point in series["points"]
    }
    differing = sorted(at_hub ^ computed)
    found = f"{len(at_hub)} values" + (f"; {len(differing)} differ, such as {differing[0]}" if differing else "")
    return Check("metrics at the hub are those the clients computed", bool(at_hub) and not differing, found)

"""Logistic regression with numpy: features from a cohort's columns, gradient steps, area under the curve."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEMALE = 8532
"""OMOP's concept of the gender female."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """`features` (rows, n), `target` (rows,) of 0 and 1."""

    features: Array
    target: Array


def to_table(cohort: pd.DataFrame, features: list[str], target: str, reference_year: int) -> Table:
    """Numbers of comparable size, by fixed rules: a site's own mean would give each site another model.

    year_of_birth becomes age in units of 50 years around 50, gender_concept_id becomes 1 for female and 0
    otherwise, anything else its logarithm (1 + x). Rows with a missing value are left out.

    Raises:
        ValueError: the query selects too little, or what is left has no row or only one class.
    """
    if absent := [name for name in [*features, target] if name not in cohort.columns]:
        raise ValueError(f"the cohort query does not select {', '.join(absent)}")
    rows = cohort[[*features, target]].dropna()
    columns = [_feature(name, rows[name].to_numpy(dtype=np.float64), reference_year) for name in features]
    outcome = (rows[target].to_numpy(dtype=np.float64) > 0).astype(np.float64)
    if len(np.unique(outcome)) < 2:
        raise ValueError(f"{target} has one value only in {len(rows)} rows; there is nothing to tell apart")
    return Table(np.column_stack(columns), outcome)


def _feature(name: str, values: Array, reference_year: int) -> Array:
    if name == "year_of_birth":
        return (reference_year - values - 50) / 50
    if name == "gender_concept_id":
        return (values == FEMALE).astype(np.float64)
    return np.log1p(np.clip(values, 0, None))


def split(table: Table, seed: int = 0) -> tuple[Table, Table]:
    """Four fifths to train, one fifth to validate, drawn by the seed within each class."""
    draw = np.random.default_rng(seed).random(len(table.target))
    held_out = np.zeros(len(draw), dtype=bool)
    for value in (0.0, 1.0):
        members = np.flatnonzero(table.target == value)
        order = members[np.argsort(draw[members])]
        held_out[order[: max(1, len(order) // 5)]] = True
    return _rows(table, ~held_out), _rows(table, held_out)


def _rows(table: Table, chosen: NDArray[np.bool_]) -> Table:
    return Table(table.features[chosen], table.target[chosen])


def probability(weights: Array, features: Array) -> Array:
    """`weights` (1 + n,): intercept first."""
    return 1 / (1 + np.exp(-np.clip(weights[0] + features @ weights[1:], -30, 30)))


def train(weights: Array, table: Table, steps: int, rate: float) -> Array:
    """Weights after `steps` full-batch gradient steps."""
    design = np.column_stack([np.ones(len(table.target)), table.features])
    for _ in range(steps):
        error = probability(weights, table.features) - table.target
        weights = weights - rate * design.T @ error / len(error)
    return weights


def log_loss(weights: Array, table: Table) -> float:
    """Mean negative log likelihood."""
    p = np.clip(probability(weights, table.features), 1e-9, 1 - 1e-9)
    return float(-np.mean(table.target * np.log(p) + (1 - table.target) * np.log(1 - p)))


def auc(weights: Array, table: Table) -> float:
    """Chance that a random case is ranked above a random control; ties count half. 0.5 where a class is absent."""
    score = probability(weights, table.features)
    cases, controls = score[table.target > 0], score[table.target == 0]
    if not len(cases) or not len(controls):
        return 0.5
    ranks = pd.Series(np.concatenate([cases, controls])).rank().to_numpy()
    return float((ranks[: len(cases)].sum() - len(cases) * (len(cases) + 1) / 2) / (len(cases) * len(controls)))

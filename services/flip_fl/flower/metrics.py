"""From a client's MetricRecords to the hub's metric points."""

import math
import re
from collections.abc import Iterable, Mapping

from flip_common.wire import MetricPoint
from flip_common.wire.model import MAX_ROUND

MAX_LABEL_CHARS = 128
# `<label>[@<x-label>][.x_<V>]`, as published FLIP apps write keys: V is the point on the x axis.
_X_VALUE = re.compile(r"(?P<label>.+)\.x_(?P<x>\d{1,7})")
_NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9_. @/-]")


def parse_key(key: str, server_round: int) -> tuple[str, int]:
    """Label and round of a metric key; without an x value the round is the server's.

    Characters a label cannot have become `_`; a label that would begin with another character than a letter or a
    digit gets an `m` in front.
    """
    found = _X_VALUE.fullmatch(key)
    label, number = (found["label"], int(found["x"])) if found else (key, server_round)
    label = _NOT_IN_LABEL.sub("_", label)
    if not label[:1].isalnum():
        label = f"m{label}"
    return label[:MAX_LABEL_CHARS], min(number, MAX_ROUND)


def points_of(
    trust: str, server_round: int, records: Iterable[Mapping[str, object]]
) -> tuple[list[MetricPoint], list[str]]:
    """Points of all finite numbers in the records, and the keys that were left out (lists, NaN, infinities)."""
    points, left_out = [], []
    for record in records:
        for key, value in record.items():
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                left_out.append(key)
                continue
            label, number = parse_key(key, server_round)
            points.append(MetricPoint(trust=trust, label=label, value=float(value), round=number))
    return points, left_out

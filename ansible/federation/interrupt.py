"""A provisioning that is killed at random moments, and what must come of it: the same host as without."""

import random
import subprocess
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from federation.playbooks import POLL_SECONDS, Order, ended, kill, running, started


@dataclass(frozen=True)
class Moment:
    """When a run is killed."""

    task: int
    """In which task; the first is 1."""
    seconds: float
    """How long after the task began."""


def moments(began: Sequence[float], seconds: float, number: int, seed: int) -> list[Moment]:
    """Random moments of a run that lasted `seconds` and whose tasks `began` then: one in each equal part of it.

    Each is told by its task, since a later run is through with what is done sooner than the first was; and in their
    order, so that each run comes to something that no run before it has finished.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret, and to be had again
    part = (seconds - began[0]) / number
    drawn = [began[0] + part * (index + chance.random()) for index in range(number)]
    tasks = [bisect_right(began, at) for at in drawn]
    return [Moment(task, at - began[task - 1]) for task, at in zip(tasks, drawn, strict=True)]


def interrupted(order: Order, moment: Moment) -> bool:
    """Runs a playbook and kills it at that moment, with all it started here; false where it succeeded before.

    Raises:
        FederationError: it failed before the moment came.
    """
    began = time.monotonic()
    with running(order) as process:
        while process.poll() is None:
            if len(started(order.log.read_text(encoding="utf-8"))) >= moment.task:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(moment.seconds)
                break
            time.sleep(POLL_SECONDS)
        if process.poll() is None:
            kill(process.pid)
            process.wait()
            return True
    ended(order, process.returncode, time.monotonic() - began)
    return False


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What is not the same on two hosts, each thing told by kind and name, with how it is on either."""
    one, other = dict(_flat(wanted)), dict(_flat(found))
    told = [f"{name} is missing" for name in sorted(one.keys() - other.keys())]
    told += [f"{name} is too much" for name in sorted(other.keys() - one.keys())]
    both = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    return told + [f"{name} is {other[name]}, not {one[name]}" for name in both]


def _flat(state: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for kind, things in state.items():
        if isinstance(things, Mapping):
            yield from ((f"{kind} {name}", value) for name, value in things.items())
        else:
            yield from ((f"{kind} {line}", True) for line in things)

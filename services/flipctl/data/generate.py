"""Generates the demo's data set: DICOM for every trust's PACS, and the manifest from which OMOP is filled."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from flip_common.wire.model import TrustName
from flipctl.data.manifest import MANIFEST_NAME, Manifest, TrustData
from flipctl.data.sample import split_persons

DEFAULT_SEED = 20260131
DEFAULT_TRUSTS = ("Trust_1", "Trust_2")
MAX_TRUSTS, MAX_PATIENTS = 10, 90


def generate(
    out: Path,
    trusts: Sequence[str] = DEFAULT_TRUSTS,
    patients_per_trust: int = 20,
    seed: int = DEFAULT_SEED,
    *,
    workers: int | None = None,
    keep_truth: bool = False,
) -> Manifest:
    """Fills the new or empty folder `out` and returns the manifest, which also lies there.

    Each trust gets so many brain MR studies with labels, one broken and one absent study, and a few genuine
    series; every study belongs to another person of the sample. Equal arguments give equal files.
    With `keep_truth`, `<trust>/truth/<accession>.npz` holds `labels` (slices, rows, columns) and `points` (RAS mm
    of every pixel): the ground truth, for checks of what comes out of the import.

    Raises:
        FileExistsError: `out` holds something already.
        ValueError: a trust's name is malformed or comes twice, or the numbers cannot be served by the sample.
    """
    from flipctl.data.making import Task, make_all  # noqa: PLC0415 - flipctl starts without the demo's packages

    started = time.monotonic()
    _check(out, trusts, patients_per_trust)
    shares = split_persons(seed, len(trusts))
    task = Task(out, tuple(trusts), patients_per_trust, seed, keep_truth)
    made = make_all(task, shares, workers or min(4, os.cpu_count() or 1))
    data = {
        trust: TrustData(persons=len(share), scanner=scanner, studies=studies)
        for trust, share, (scanner, studies) in zip(trusts, shares, made, strict=True)
    }
    manifest = Manifest(seed=seed, trusts=data, seconds=round(time.monotonic() - started, 3))
    manifest.save(out)
    return manifest


def _check(out: Path, trusts: Sequence[str], patients: int) -> None:
    TypeAdapter(list[TrustName]).validate_python(list(trusts))
    if not 1 <= len(trusts) <= MAX_TRUSTS or len(set(trusts)) != len(trusts):
        raise ValueError(f"1 to {MAX_TRUSTS} trusts with different names are needed, not {list(trusts)}")
    if not 1 <= patients <= MAX_PATIENTS:
        raise ValueError(f"patients per trust: {patients} is not between 1 and {MAX_PATIENTS}")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        hint = ", a data set already" if (out / MANIFEST_NAME).exists() else ""
        raise FileExistsError(f"{out} is not empty{hint}; name another folder or remove it first")

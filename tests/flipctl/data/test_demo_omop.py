"""OMOP of the demo: the sample split between trusts, loaded into a real PostgreSQL."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from flipctl.data import DEMO_QUERY, Manifest, load_omop
from flipctl.data.sample import dice, draw_visits, split_persons

pytestmark = pytest.mark.postgres


def test_every_person_is_at_exactly_one_trust() -> None:
    shares = split_persons(7, 3)
    assert sum(map(len, shares)) == len(frozenset.union(*shares)) == 1130
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert split_persons(7, 3) == shares
    assert split_persons(8, 3) != shares


def test_flipctl_data_starts_without_the_demos_packages() -> None:
    code = (
        "import sys, flipctl.data.cli; "
        "heavy = {'numpy', 'scipy', 'pydicom', 'highdicom', 'nibabel', 'asyncpg'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_visits_are_of_adults_and_one_a_person() -> None:
    visits = draw_visits(split_persons(7, 2)[0], 40, dice(0))
    assert len({visit.person_id for visit in visits}) == 40
    assert all(visit.day.year - visit.birth_date.year > 18 and visit.day.year >= 2000 for visit in visits)
    with pytest.raises(ValueError, match="only 1 adults"):
        draw_visits(frozenset({visits[0].person_id}), 2, dice(0))


async def test_demo_query_finds_the_cohort_and_nothing_else(
    data_set: tuple[Path, Manifest], empty_database: str
) -> None:
    _, manifest = data_set
    rows = await load_omop(empty_database, manifest, "Trust_2")
    share = manifest.trusts["Trust_2"]
    assert rows["person"] == share.persons == 565
    connection = await asyncpg.connect(empty_database)
    try:
        found = await connection.fetch(DEMO_QUERY)
        assert sorted(row["accession_id"] for row in found) == sorted(share.cohort)
        by_accession = {study.accession: study.person_id for study in share.studies}
        assert all(by_accession[row["accession_id"]] == row["person_id"] for row in found)
        persons = split_persons(manifest.seed, 2)[1]
        for table in ("person", "measurement", "condition_occurrence", "image_occurrence", "image_feature"):
            ids = await connection.fetch(f"SELECT DISTINCT person_id FROM omop.{table}")
            assert {row["person_id"] for row in ids} <= persons, table
        orphans = await connection.fetchval(
            "SELECT count(*) FROM omop.image_occurrence io "
            "LEFT JOIN omop.procedure_occurrence po USING (procedure_occurrence_id, person_id) "
            "LEFT JOIN omop.visit_occurrence vo ON vo.visit_occurrence_id = io.visit_occurrence_id "
            "LEFT JOIN omop.concept c ON c.concept_id = io.anatomic_site_concept_id "
            "WHERE po.procedure_date IS DISTINCT FROM io.image_occurrence_date "
            "OR vo.visit_start_date IS DISTINCT FROM io.image_occurrence_date OR c.concept_id IS NULL"
        )
        assert orphans == 0
        assert await connection.fetchval("SELECT count(*) FROM omop.image_feature") == 2 * 3
        keys = await connection.fetchval(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND connamespace = 'omop'::regnamespace"
        )
        assert keys == 30
    finally:
        await connection.close()


async def test_an_existing_schema_is_replaced_only_on_request(
    data_set: tuple[Path, Manifest], empty_database: str
) -> None:
    _, manifest = data_set
    first = await load_omop(empty_database, manifest, "Trust_1")
    with pytest.raises(FileExistsError, match="replace=True"):
        await load_omop(empty_database, manifest, "Trust_1")
    assert await load_omop(empty_database, manifest, "Trust_1", replace=True) == first
    with pytest.raises(KeyError):
        await load_omop(empty_database, manifest, "Nowhere")

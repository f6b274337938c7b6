"""Frozen cohorts: freeze, shrink and never grow; accessions and dataframes of the frozen cohort only."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

BOTH = (
    "SELECT p.person_id, io.accession_id, p.year_of_birth FROM omop.person p "
    "JOIN omop.image_occurrence io ON io.person_id = p.person_id WHERE p.year_of_birth < {year}"
)


async def post(api: httpx.AsyncClient, path: str, project: UUID, query: str | None = None) -> dict[str, Any]:
    body = {"project_id": str(project)} | ({"query": query} if query is not None else {})
    response = await api.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def execute(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql)
        return rows
    finally:
        await connection.close()


async def test_freeze_and_read(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    project = uuid4()
    frozen = await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    rows = await execute(
        own_owner_url,
        "SELECT DISTINCT io.accession_id, p.person_id FROM omop.person p "
        "JOIN omop.image_occurrence io USING (person_id) WHERE year_of_birth < 1960",
    )
    assert frozen["subjects"]["value"] == (len({row["person_id"] for row in rows}) + 5) // 10 * 10
    assert frozen["accessions"]["value"] == (len(rows) + 5) // 10 * 10
    accessions = await post(own_api, "/cohort/accessions", project)
    assert accessions == {"project_id": str(project), "accessions": sorted(row["accession_id"] for row in rows)}
    frame = await post(own_api, "/cohort/dataframe", project, BOTH.format(year=2100))
    assert [(c["name"], c["dtype"]) for c in frame["columns"]] == [
        ("person_id", "int64"),
        ("accession_id", "string"),
        ("year_of_birth", "int64"),
    ]
    assert {row[0] for row in frame["rows"]} == {row["person_id"] for row in rows}
    assert {row[1] for row in frame["rows"]} == {row["accession_id"] for row in rows}


async def test_freezing_again_shrinks_and_never_grows(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    first = await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    wide = await post(own_api, "/cohort/freeze", project, BOTH.format(year=2100))
    assert wide == first, "a wider query adds nobody"
    narrow = await post(own_api, "/cohort/freeze", project, BOTH.format(year=1940))
    assert narrow["subjects"]["value"] < first["subjects"]["value"]
    assert narrow["cohort_digest"] != first["cohort_digest"]
    again = await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    assert again == narrow, "whoever left does not come back"


async def test_a_study_may_leave_while_its_person_stays(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    await execute(
        own_owner_url,
        "INSERT INTO omop.image_occurrence (image_occurrence_id, person_id, image_occurrence_date, image_study_uid, "
        "image_series_uid, modality_concept_id, accession_id) SELECT -person_id, person_id, '2030-01-01', '1', '1', 1, "
        "'LATE' || person_id FROM omop.person WHERE person_id < 100",
    )
    project = uuid4()
    query = "SELECT person_id, accession_id FROM image_occurrence"
    everything = await post(own_api, "/cohort/freeze", project, query)
    assert "LATE2" in (await post(own_api, "/cohort/accessions", project))["accessions"]
    early = f"{query} WHERE image_occurrence_date < '2029-01-01' OR person_id IS NULL"
    fewer = await post(own_api, "/cohort/freeze", project, early)
    assert fewer["accessions"]["value"] < everything["accessions"]["value"]
    left = (await post(own_api, "/cohort/accessions", project))["accessions"]
    assert left
    assert not [item for item in left if item.startswith("LATE")]


async def test_who_leaves_the_database_leaves_the_cohort(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    before = (await post(own_api, "/cohort/accessions", project))["accessions"]
    gone = int(before[0].removeprefix("ACC"))
    await execute(own_owner_url, f"DELETE FROM omop.person WHERE person_id = {gone}")
    assert (await post(own_api, "/cohort/accessions", project))["accessions"] == before[1:]
    by_accession = "SELECT accession_id, image_occurrence_date FROM image_occurrence"
    for query in (BOTH.format(year=2100), by_accession):
        frame = await post(own_api, "/cohort/dataframe", project, query)
        at = [c["name"] for c in frame["columns"]].index("accession_id")
        assert {row[at] for row in frame["rows"]} == set(before[1:])


async def test_who_comes_later_is_not_in_the_cohort(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    before = (await post(own_api, "/cohort/accessions", project))["accessions"]
    person = int(before[0].removeprefix("ACC"))
    await execute(
        own_owner_url,
        "INSERT INTO omop.person (person_id, gender_concept_id, year_of_birth, race_concept_id, ethnicity_concept_id) "
        "VALUES (900001, 8507, 1930, 0, 0)",
    )
    # A new person with a study, and a new study of somebody who is in the cohort.
    await execute(
        own_owner_url,
        "INSERT INTO omop.image_occurrence (image_occurrence_id, person_id, image_occurrence_date, image_study_uid, "
        "image_series_uid, modality_concept_id, accession_id) VALUES (1, 900001, '2020-01-01', '1', '1', 1, 'NEW1'), "
        f"(2, {person}, '2020-01-01', '2', '2', 1, 'NEW2')",
    )
    assert (await post(own_api, "/cohort/accessions", project))["accessions"] == before
    frame = await post(own_api, "/cohort/dataframe", project, BOTH.format(year=1960))
    assert {row[1] for row in frame["rows"]} == set(before)
    assert 900001 not in {row[0] for row in frame["rows"]}
    assert (await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960)))["subjects"]["value"]
    assert (await post(own_api, "/cohort/accessions", project))["accessions"] == before


async def test_an_accession_that_moved_to_another_person_is_gone(
    own_api: httpx.AsyncClient, own_owner_url: str
) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    before = (await post(own_api, "/cohort/accessions", project))["accessions"]
    await execute(
        own_owner_url,
        "UPDATE omop.image_occurrence SET person_id = (SELECT max(person_id) FROM omop.person) "
        f"WHERE accession_id = '{before[0]}'",
    )
    assert (await post(own_api, "/cohort/accessions", project))["accessions"] == before[1:]
    frame = await post(own_api, "/cohort/dataframe", project, BOTH.format(year=2100))
    assert before[0] not in {row[1] for row in frame["rows"]}


async def test_without_accessions(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    query = "SELECT person_id, gender_concept_id FROM person WHERE year_of_birth < 1960"
    frozen = await post(own_api, "/cohort/freeze", project, query)
    assert frozen["accessions"]["suppressed"]
    assert (await post(own_api, "/cohort/accessions", project))["accessions"] == []
    frame = await post(own_api, "/cohort/dataframe", project, "SELECT person_id, value_as_number FROM measurement")
    people = {row[0] for row in frame["rows"]}
    assert len(frame["rows"]) == 3 * len(people)
    assert abs(len(people) - frozen["subjects"]["value"]) <= 5


async def test_only_accessions(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    query = "SELECT accession_id FROM image_occurrence WHERE image_occurrence_date < '2016-01-01'"
    frozen = await post(own_api, "/cohort/freeze", project, query)
    assert frozen["subjects"] == frozen["accessions"]
    frame = await post(own_api, "/cohort/dataframe", project, "SELECT person_id, year_of_birth FROM person")
    assert len(frame["rows"]) == len((await post(own_api, "/cohort/accessions", project))["accessions"])


async def test_an_accession_of_two_people_or_a_wildcard_is_nobodys(
    own_api: httpx.AsyncClient, own_owner_url: str
) -> None:
    await execute(own_owner_url, "UPDATE omop.image_occurrence SET accession_id = 'SHARED' WHERE person_id IN (2, 4)")
    await execute(own_owner_url, "UPDATE omop.image_occurrence SET accession_id = 'ACC*' WHERE person_id = 6")
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, "SELECT accession_id FROM image_occurrence")
    accessions = (await post(own_api, "/cohort/accessions", project))["accessions"]
    assert len(accessions) > 500
    assert not {"SHARED", "ACC*"} & set(accessions)


async def test_not_frozen(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", uuid4(), BOTH.format(year=1960))
    for path, extra in (("/cohort/accessions", {}), ("/cohort/dataframe", {"query": "SELECT person_id FROM person"})):
        response = await own_api.post(path, json={"project_id": str(project), **extra})
        assert response.status_code == 403
        assert response.json()["code"] == "cohort_not_frozen"


async def refused(api: httpx.AsyncClient, path: str, project: UUID, query: str | None = None) -> str:
    body = {"project_id": str(project)} | ({"query": query} if query is not None else {})
    response = await api.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (403, "cohort_too_small"), response.text
    assert "fewer than 10 people" in response.json()["detail"]
    assert "TRAINING_COHORT_MINIMUM" in response.json()["detail"]
    return str(response.json()["detail"])


async def test_a_cohort_too_small_to_train_on_is_not_frozen(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    person = "SELECT person_id FROM person WHERE year_of_birth < {}"
    nobody = await refused(own_api, "/cohort/freeze", project, person.format(1700))
    few = await refused(own_api, "/cohort/freeze", project, person.format("2000 AND year_of_birth = 1911"))
    assert nobody == few, "nobody and few look the same"
    response = await own_api.post("/cohort/accessions", json={"project_id": str(project)})
    assert response.json()["code"] == "cohort_not_frozen", "what was refused is not kept"
    frozen = await post(own_api, "/cohort/freeze", project, person.format(1960))
    assert not frozen["subjects"]["suppressed"]


async def test_a_cohort_with_too_few_who_have_studies_is_not_frozen(
    own_api: httpx.AsyncClient, own_owner_url: str
) -> None:
    await execute(own_owner_url, "DELETE FROM omop.image_occurrence WHERE person_id > 18")  # nine people have studies
    query = (
        "SELECT p.person_id, io.accession_id FROM person p LEFT JOIN image_occurrence io ON io.person_id = p.person_id"
    )
    await refused(own_api, "/cohort/freeze", uuid4(), query)
    await post(own_api, "/cohort/freeze", uuid4(), "SELECT person_id FROM person")


async def test_a_cohort_that_shrank_too_far_is_not_read(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=2100))
    await refused(own_api, "/cohort/freeze", project, BOTH.format(year=1700))
    await refused(own_api, "/cohort/accessions", project)
    await refused(own_api, "/cohort/dataframe", project, BOTH.format(year=2100))
    await refused(own_api, "/cohort/freeze", project, BOTH.format(year=2100))
    other = uuid4()
    await post(own_api, "/cohort/freeze", other, BOTH.format(year=2100))
    await execute(own_owner_url, "DELETE FROM omop.image_occurrence WHERE person_id > 18")
    await refused(own_api, "/cohort/accessions", other)
    await refused(own_api, "/cohort/dataframe", other, "SELECT person_id FROM person")


async def test_a_site_sets_its_own_minimum(serve_own: Callable[..., Awaitable[httpx.AsyncClient]]) -> None:
    query = "SELECT person_id FROM person WHERE year_of_birth < 1960"
    for minimum, status in ((2000, 403), (5, 200)):
        api = await serve_own(training_cohort_minimum=minimum)
        response = await api.post("/cohort/freeze", json={"project_id": str(uuid4()), "query": query})
        assert response.status_code == status, response.text


async def test_freezing_at_the_same_time_leaves_what_all_have_in_common(own_api: httpx.AsyncClient) -> None:
    project, other = uuid4(), uuid4()
    years = (1980, 1940, 2100, 1960)
    await asyncio.gather(*(post(own_api, "/cohort/freeze", project, BOTH.format(year=year)) for year in years))
    await post(own_api, "/cohort/freeze", other, BOTH.format(year=1940))
    shrunk, narrow = [(await post(own_api, "/cohort/accessions", item))["accessions"] for item in (project, other)]
    assert shrunk == narrow


async def test_digests_are_keyed_by_site_and_project(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    one, two = uuid4(), uuid4()
    query = BOTH.format(year=1960)
    first = await post(own_api, "/cohort/freeze", one, query)
    assert first["cohort_digest"] == (await post(own_api, "/cohort/freeze", one, query))["cohort_digest"]
    assert first["cohort_digest"] != (await post(own_api, "/cohort/freeze", two, query))["cohort_digest"]
    await execute(own_owner_url, "UPDATE flip.site_secret SET secret = sha256('another site')")
    assert first["cohort_digest"] != (await post(own_api, "/cohort/freeze", one, query))["cohort_digest"]
    await execute(own_owner_url, "DELETE FROM flip.site_secret")
    response = await own_api.post("/cohort/freeze", json={"project_id": str(one), "query": query})
    assert response.status_code == 503
    assert "prepare-database" in response.json()["detail"]


async def test_types_travel(own_api: httpx.AsyncClient) -> None:
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    frame = await post(
        own_api,
        "/cohort/dataframe",
        project,
        "SELECT v.person_id, v.visit_start_date, v.visit_start_datetime, v.visit_source_value, 1.5 AS half, "
        "'NaN'::double precision AS nan, v.visit_end_date > v.visit_start_date AS stayed, "
        "v.preceding_visit_occurrence_id FROM visit_occurrence v",
    )
    assert [c["dtype"] for c in frame["columns"]] == [
        "int64", "date", "datetime", "string", "float64", "float64", "bool", "int64",
    ]  # fmt: skip
    row = frame["rows"][0]
    assert len(row[1]) == 10
    assert row[2].startswith(row[1])
    assert row[4:6] == [1.5, None]
    assert isinstance(row[6], bool)


async def test_rows_are_capped(own_capped_api: httpx.AsyncClient) -> None:
    project = uuid4()
    await post(own_capped_api, "/cohort/freeze", project, BOTH.format(year=2100))
    within = await post(
        own_capped_api, "/cohort/dataframe", project, "SELECT person_id FROM person WHERE year_of_birth < 1930"
    )
    assert within["rows"]
    response = await own_capped_api.post(
        "/cohort/dataframe", json={"project_id": str(project), "query": "SELECT person_id FROM measurement"}
    )
    assert response.status_code == 422
    assert response.json()["code"] == "too_many_rows"


async def test_a_type_that_cannot_travel(own_api: httpx.AsyncClient, own_owner_url: str) -> None:
    await execute(own_owner_url, "ALTER TABLE omop.measurement ALTER measurement_time TYPE time USING '12:00'::time")
    project = uuid4()
    await post(own_api, "/cohort/freeze", project, BOTH.format(year=1960))
    query = "SELECT person_id, measurement_time FROM measurement"
    response = await own_api.post("/cohort/dataframe", json={"project_id": str(project), "query": query})
    assert (response.status_code, response.json()["code"]) == (422, "unsupported_type")
    body = {"query_id": str(uuid4()), "project_id": str(project), "query": query}
    response = await own_api.post("/cohort/statistics", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "unsupported_type")


@pytest.mark.parametrize("path", ["/cohort/freeze", "/cohort/dataframe"])
async def test_the_guard_stands_before_every_query(own_api: httpx.AsyncClient, path: str) -> None:
    response = await own_api.post(
        path, json={"project_id": str(uuid4()), "query": "SELECT person_id FROM flip.frozen_subject"}
    )
    assert response.status_code == 422
    assert response.json()["reason"] == "schema"

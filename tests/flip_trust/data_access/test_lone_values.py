"""One person's value, blown up by the query, moves no edge of what is shown about everybody."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

RARE = 777
# Everybody else stands at 0, so only the one person's value could put a scale on the axis.
BLOWN_UP = (
    "SELECT p.person_id, (SELECT max(CASE WHEN m.measurement_concept_id = {rare} THEN m.value_as_number * 1e{power} "
    "ELSE 0 END) FROM measurement m WHERE m.person_id = p.person_id) AS x FROM person p"
)


async def columns(api: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    body = {"query_id": str(uuid4()), "project_id": str(uuid4()), "query": query}
    response = await api.post("/cohort/statistics", json=body)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["columns"]
    return found


async def give(owner_url: str, people: int, value: float) -> None:
    """Gives that many people a measurement of the rare kind, ten rows each."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute("DELETE FROM omop.measurement WHERE measurement_concept_id = $1", RARE)
        await connection.execute(
            """INSERT INTO omop.measurement (measurement_id, person_id, measurement_concept_id, measurement_date,
                                             measurement_type_concept_id, value_as_number)
               SELECT 90000000 + p.person_id * 10 + k, p.person_id, $1, date '2016-01-01', 32817, $3
               FROM (SELECT person_id FROM omop.person ORDER BY person_id LIMIT $2) p
               CROSS JOIN generate_series(0, 9) AS k""",
            RARE,
            people,
            value,
        )
    finally:
        await connection.close()


@pytest.fixture
def own_url(own_site: Any) -> str:
    url: str = own_site.owner_url
    return url


@pytest.mark.parametrize("people", [1, 9])
async def test_a_few_people_far_out_do_not_show(own_api: httpx.AsyncClient, own_url: str, people: int) -> None:
    seen = set()
    for value in (0.0, 90.0, -140.0):
        await give(own_url, people, value)
        seen.add(str([await columns(own_api, BLOWN_UP.format(rare=RARE, power=power)) for power in (0, 8, 100)]))
    assert len(seen) == 1


async def test_many_rows_of_one_person_do_not_show(own_api: httpx.AsyncClient, own_url: str) -> None:
    seen = set()
    for value in (0.0, 90.0):
        await give(own_url, 1, value)
        rows = (
            f"SELECT m.person_id, CASE WHEN m.measurement_concept_id = {RARE} THEN m.value_as_number ELSE 0 END AS x "
            "FROM measurement m LEFT JOIN concept c ON m.measurement_concept_id = 777"
        )
        seen.add(str(await columns(own_api, rows)))
    assert len(seen) == 1


async def test_enough_people_far_out_do_show(own_api: httpx.AsyncClient, own_url: str) -> None:
    await give(own_url, 300, 90.0)
    (column,) = await columns(own_api, BLOWN_UP.format(rare=RARE, power=0))
    assert len(column["bins"]) > 1


async def test_a_placeholder_accession_does_not_count_those_who_share_it(
    own_api: httpx.AsyncClient, own_url: str
) -> None:
    connection = await asyncpg.connect(own_url)
    try:
        await connection.execute("UPDATE omop.image_occurrence SET accession_id = '' WHERE person_id % 4 = 0")
    finally:
        await connection.close()
    await give(own_url, 4, 5.0)
    query = (
        "SELECT io.accession_id FROM image_occurrence io JOIN measurement m ON m.person_id = io.person_id "
        f"WHERE m.measurement_concept_id = {RARE}"
    )
    body = {"query_id": str(uuid4()), "project_id": str(uuid4()), "query": query}
    response = await own_api.post("/cohort/statistics", json=body)
    assert response.json()["subjects"]["suppressed"]

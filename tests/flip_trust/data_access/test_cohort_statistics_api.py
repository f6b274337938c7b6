"""POST /cohort/statistics over the real database."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

PERSONS = "SELECT p.person_id, p.year_of_birth, p.gender_concept_id FROM omop.person p"


async def ask(api: httpx.AsyncClient, query: str) -> httpx.Response:
    return await api.post(
        "/cohort/statistics", json={"query_id": str(uuid4()), "project_id": str(uuid4()), "query": query}
    )


async def answer(api: httpx.AsyncClient, query: str) -> dict[str, Any]:
    response = await ask(api, query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def bins(body: dict[str, Any], name: str) -> dict[str, int]:
    (column,) = [column for column in body["columns"] if column["name"] == name]
    return {item["label"]: item["count"] for item in column["bins"]}


async def exact(owner_url: str, sql: str) -> dict[Any, int]:
    connection = await asyncpg.connect(owner_url)
    try:
        return {row[0]: row[1] for row in await connection.fetch(sql)}
    finally:
        await connection.close()


async def test_usual_query(api: httpx.AsyncClient, owner_url: str) -> None:
    body = await answer(
        api,
        "SELECT p.person_id, io.accession_id, p.year_of_birth, p.gender_concept_id, io.image_occurrence_date "
        "FROM omop.person p JOIN omop.image_occurrence io ON io.person_id = p.person_id",
    )
    # Every second person has a study of two series: rows are twice the subjects.
    assert body["subjects"] == {"suppressed": False, "value": 570, "threshold": 10, "rounding": 10}
    assert [(c["name"], c["kind"]) for c in body["columns"]] == [
        ("year_of_birth", "numeric"),
        ("gender_concept_id", "categorical"),
        ("image_occurrence_date", "date"),
    ]
    sexes = await exact(
        owner_url, "SELECT gender_concept_id::text, count(*) FROM omop.person WHERE person_id % 2 = 0 GROUP BY 1"
    )
    assert bins(body, "gender_concept_id") == {sex: (n + 5) // 10 * 10 for sex, n in sexes.items()}
    years = await exact(
        owner_url,
        "SELECT extract(year FROM image_occurrence_date)::int::text, count(DISTINCT person_id) "
        "FROM omop.image_occurrence GROUP BY 1",
    )
    assert bins(body, "image_occurrence_date") == {year: (n + 5) // 10 * 10 for year, n in years.items() if n >= 10}


async def test_numeric_bins_are_right(api: httpx.AsyncClient, owner_url: str) -> None:
    shown = bins(await answer(api, PERSONS), "year_of_birth")
    assert next(iter(shown)).startswith("< ")
    edges = [int(label.split(" – ")[0]) for label in shown if " – " in label]
    step = edges[1] - edges[0]
    years = await exact(owner_url, "SELECT year_of_birth, count(*) FROM omop.person GROUP BY 1")
    for edge in edges:
        n = sum(count for year, count in years.items() if edge <= year < edge + step)
        assert shown[f"{edge} – {edge + step}"] == (n + 5) // 10 * 10


async def test_people_are_counted_once_however_many_rows(
    wide_api: httpx.AsyncClient, api: httpx.AsyncClient, owner_url: str
) -> None:
    query = "SELECT person_id, condition_concept_id FROM condition_occurrence"
    body = await answer(wide_api, query)
    people = await exact(owner_url, "SELECT 1, count(DISTINCT person_id) FROM omop.condition_occurrence")
    assert body["subjects"]["value"] == (people[1] + 5) // 10 * 10
    conditions = await exact(
        owner_url,
        "SELECT condition_concept_id::text, count(DISTINCT person_id) FROM omop.condition_occurrence GROUP BY 1",
    )
    (column,) = (await answer(api, query))["columns"]
    fewer = {item["label"]: item["count"] for item in column["bins"]}
    shown = bins(body, "condition_concept_id")
    assert sum(fewer.values()) < sum(shown.values()), "with a budget of 12 some people have more conditions than that"
    assert all(fewer[label] <= shown[label] for label in set(fewer) & set(shown) - {"Other"})
    other = shown.pop("Other")
    assert shown == {label: (conditions[label] + 5) // 10 * 10 for label in shown}
    small = [int(label) for label in conditions if label not in shown]
    merged = await exact(
        owner_url,
        "SELECT 1, count(DISTINCT person_id) FROM omop.condition_occurrence "
        f"WHERE condition_concept_id IN ({','.join(map(str, small))})",
    )
    assert other == (merged[1] + 5) // 10 * 10
    assert sum(conditions[str(item)] for item in small) > merged[1], "the sample has people with two rare conditions"


async def test_accessions_alone_count_people(api: httpx.AsyncClient) -> None:
    body = await answer(api, "SELECT accession_id, modality_concept_id FROM omop.image_occurrence")
    assert body["subjects"]["value"] == 570


@pytest.mark.parametrize("condition", ["p.year_of_birth = 1700", "p.year_of_birth = 1931 AND p.race_concept_id = 8515"])
async def test_none_and_few_look_the_same(api: httpx.AsyncClient, condition: str) -> None:
    body = await answer(api, f"{PERSONS} WHERE {condition}")
    assert body["subjects"] == {"suppressed": True, "value": None, "threshold": 10, "rounding": 10}
    assert body["columns"] == []


async def test_missing_and_odd_values_have_a_place(api: httpx.AsyncClient) -> None:
    body = await answer(
        api,
        "SELECT p.person_id, m.value_as_number, m.value_as_number > 130 AS high, m.measurement_date, "
        "CASE WHEN p.year_of_birth > 1980 THEN 'NaN'::double precision ELSE 1.5 END AS odd "
        "FROM person p LEFT JOIN measurement m ON m.person_id = p.person_id AND m.value_as_number > 120",
    )
    assert set(bins(body, "high")) <= {"true", "false", "(missing)"}
    assert "(missing)" in bins(body, "value_as_number")
    assert "(missing)" in bins(body, "measurement_date")
    assert set(bins(body, "odd")) == {"all values", "(missing)"}


async def test_identifiers_are_never_described(api: httpx.AsyncClient) -> None:
    body = await answer(
        api,
        "SELECT io.person_id, io.accession_id, io.image_study_uid, io.image_occurrence_id, p.person_source_value, "
        "p.person_id AS again FROM image_occurrence io JOIN person p ON p.person_id = io.person_id",
    )
    assert body["columns"] == []


async def test_one_person_more_does_not_show(api: httpx.AsyncClient, owner_url: str) -> None:
    """Differencing: two cohorts that differ by few people give the same answer, or differ by a whole step."""
    years = await exact(owner_url, "SELECT year_of_birth, count(*) FROM omop.person GROUP BY 1 ORDER BY 1")
    alone = [year for year, n in years.items() if n < 10]
    assert alone
    for year in alone[:8]:
        for compare in ("<", "<="):
            body = await answer(api, f"{PERSONS} WHERE p.year_of_birth {compare} {year}")
            value = body["subjects"]["value"]
            n = sum(count for y, count in years.items() if y < year or (compare == "<=" and y == year))
            assert value == (None if n < 10 else (n + 5) // 10 * 10)


async def test_complements_do_not_add_up_to_a_small_group(api: httpx.AsyncClient) -> None:
    everybody = (await answer(api, PERSONS))["subjects"]["value"]
    without = (await answer(api, f"{PERSONS} WHERE NOT (p.year_of_birth = 1931)"))["subjects"]["value"]
    assert everybody - without in (0, 10, 20)
    assert (everybody - without) % 10 == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT person_id FROM measurement WHERE measurement_date > 'no date'", "query_failed"),
        ("SELECT p.person_id, p.year_of_birth || 5 > 3 AS x FROM person p", "query_failed"),
        (
            "SELECT k.person_id FROM condition_occurrence k JOIN concept c ON c.concept_name = k.condition_concept_id",
            "query_failed",
        ),
        (
            "SELECT person_id, visit_end_datetime AS x FROM visit_occurrence WHERE visit_end_datetime > 'x'",
            "query_failed",
        ),
    ],
)
async def test_a_failing_query_says_nothing_of_the_data(api: httpx.AsyncClient, query: str, code: str) -> None:
    response = await ask(api, query)
    assert response.status_code == 422, response.text
    body = response.json()
    assert body["code"] == code
    if code == "query_failed":
        assert body["sqlstate_class"] in ("22", "42")
    for leak in ("integer", "operator", "concept_name =", "HINT", "1974"):
        assert leak not in response.text


async def test_division_by_zero_is_no_oracle(api: httpx.AsyncClient) -> None:
    body = await answer(api, "SELECT person_id, 1 / (year_of_birth - 1931) AS r FROM person")
    assert body["subjects"]["value"] > 1000


async def test_a_refusal_names_reason_place_and_remedy(api: httpx.AsyncClient) -> None:
    response = await ask(api, "SELECT p.person_id FROM omop.person p WHERE p.person_id = 42")
    assert response.status_code == 422
    body = response.json()
    assert (body["code"], body["reason"]) == ("query_refused", "person_literal")
    assert '"person_id" = 42' in body["where"]
    assert body["remedy"]


async def test_many_at_once(api: httpx.AsyncClient) -> None:
    """More than there are connections: each waits its turn, and no answer is mixed up with another."""
    years = range(1930, 1990, 2)
    alone = [(await answer(api, f"{PERSONS} WHERE p.year_of_birth > {year}"))["subjects"] for year in years]
    together = await asyncio.gather(*(answer(api, f"{PERSONS} WHERE p.year_of_birth > {year}") for year in years))
    assert [body["subjects"] for body in together] == alone

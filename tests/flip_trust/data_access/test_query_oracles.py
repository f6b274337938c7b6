"""Attacks that ask about one person by what fails, by what takes long, or by numbers that overlap."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

RARE = 777
Start = Callable[..., Awaitable[httpx.AsyncClient]]

TINY = "{rare} * ((1 + (((1 + 1e-100 * 1e-100) * 1e-100) - 1e-100)) * 1e-100 - 1e-100)"
# Each is harmless for everybody else, and each failed in the database for the one person with a rare measurement.
FAILING = {
    "integer overflow": "{rare} * 2000000000 * 2",
    "bigint overflow": "{rare} * 9000000000000000000 * 9",
    "integer sum": "2147483647 + {rare}",
    "integer difference": "-2147483647 - {rare} * 2",
    "division by zero": "1 / (1 - {rare})",
    "modulo zero": "7 % (1 - {rare})",
    "numeric overflow": "{rare} * 1e90 * 1e90 * 1e90",
    "float overflow": "{rare} * 1e90::double precision * 1e90 * 1e90 * 1e90",
    "float underflow": "{rare} * 1e-90::double precision * 1e-90 * 1e-90 * 1e-90 * 1e-90",
    "float by almost nothing": "1e100::double precision / ({rare} * 1e-100::double precision * 1e-100 * 1e-100)",
    "cast to int": "({rare} * 9000000000)::int",
    "cast to bigint": "({rare} * 1e90)::bigint",
    "cast of not a number": "(CASE WHEN {rare} = 1 THEN 'NaN'::double precision ELSE 0 END)::int",
    "cast of infinity": "(CASE WHEN {rare} = 1 THEN 'Infinity'::numeric ELSE 0 END)::bigint",
    "cast of a great numeric": "({rare} * 1e100 * 1e100)::double precision",
    "mean of great floats": "(SELECT avg({rare} * x.measurement_concept_id * 1e100::double precision * 1e95) "
    "FROM measurement x WHERE x.person_id = m.person_id)",
    "date overflow": "extract(year FROM m.measurement_date + {rare} * 2000000000)",
    "date by days": "(m.measurement_date + ({rare} * 900000000)::int) - m.measurement_date",
    "infinite days": "(CASE WHEN {rare} = 1 THEN 'infinity'::date ELSE m.measurement_date END) - m.measurement_date",
    "beyond the calendar": "extract(year FROM m.measurement_date + interval '99999 years' + interval '99999 years' "
    "+ interval '99999 years')",
    "before the calendar": "CASE WHEN {rare} = 1 THEN m.measurement_date - interval '99999 years' "
    "ELSE m.measurement_date - interval '1 year' END",
    "months before the calendar": "CASE WHEN {rare} = 1 THEN m.measurement_date - interval '99999 months' "
    "ELSE m.measurement_date - interval '1 month' END",
    "least smallint": "abs(CASE WHEN {rare} = 1 THEN '-32768'::smallint ELSE '0'::smallint END)",
    "least smallint negated": "-(CASE WHEN {rare} = 1 THEN '-32768'::smallint ELSE '0'::smallint END)",
    "least bigint negated": "-(CASE WHEN {rare} = 1 THEN -9223372036854775808 ELSE 0 END)",
    "almost nothing": f"({TINY}) < 1::double precision",
    "almost nothing by remainder": "{rare} * (((1 + 1e-99 * 1e-99) * 1e-99 % 1e-99) * 1e-99 % 1e-99) "
    "< 1::double precision",
}
IS_RARE = f"(CASE WHEN m.measurement_concept_id = {RARE} THEN 1 ELSE 0 END)"


async def ask(api: httpx.AsyncClient, query: str, project: str = "") -> httpx.Response:
    body = {"query_id": str(uuid4()), "project_id": project or str(uuid4()), "query": query}
    return await api.post("/cohort/statistics", json=body)


async def execute(url: str, sql: str, *arguments: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql, *arguments)
    finally:
        await connection.close()


async def fetch(url: str, sql: str, *arguments: object) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


async def running(url: str, queries: int) -> None:
    """Waits until the reading role runs so many queries."""
    found: object = None
    async with asyncio.timeout(20):
        while found != queries:
            found = await fetch(
                url,
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'flip_reader' AND state = 'active' AND "
                "datname = current_database()",
            )


async def make_rare(url: str, people: int) -> None:
    """Gives so many people, and nobody else, a measurement of the rare kind."""
    await execute(url, f"UPDATE omop.measurement SET measurement_concept_id = 1 WHERE measurement_concept_id = {RARE}")
    await execute(
        url,
        f"UPDATE omop.measurement SET measurement_concept_id = {RARE} WHERE measurement_id IN "
        "(SELECT min(measurement_id) FROM omop.measurement GROUP BY person_id ORDER BY person_id LIMIT $1)",
        people,
    )


@pytest.fixture
def own_url(own_site: Any) -> str:
    url: str = own_site.owner_url
    return url


async def test_no_calculation_fails_for_one_person_only(own_api: httpx.AsyncClient, own_url: str) -> None:
    seen: dict[int, dict[str, Any]] = {}
    for people in (0, 1):
        await make_rare(own_url, people)
        seen[people] = {}
        for name, expression in FAILING.items():
            query = f"SELECT m.person_id, {expression.format(rare=IS_RARE)} AS x FROM measurement m"
            response = await ask(own_api, query)
            assert response.status_code == 200, f"{name}: {response.text}"
            seen[people][name] = [response.json()[key] for key in ("subjects", "columns")]
    assert seen[0] == seen[1]


async def test_what_fails_all_the_same_is_counted_per_project(serve_own: Start, own_url: str) -> None:
    api = await serve_own(cohort_query_failures_per_day=2)
    project, fine = str(uuid4()), "SELECT person_id FROM person"
    # A text of the site that is no date: the guard cannot know it.
    failing = f"SELECT m.person_id FROM measurement m WHERE m.unit_source_value IS NOT NULL AND {IS_RARE} = 1"
    await execute(own_url, "ALTER TABLE omop.measurement RENAME TO kept")
    await execute(
        own_url,
        "CREATE VIEW omop.measurement AS SELECT person_id, measurement_concept_id / 0 AS measurement_concept_id, "
        "unit_source_value FROM omop.kept",
    )
    await execute(own_url, "GRANT SELECT ON omop.measurement TO flip_reader")
    failing = "SELECT person_id FROM measurement WHERE measurement_concept_id = 1"
    for _ in range(2):
        assert (await ask(api, fine, project)).status_code == 200
        response = await ask(api, failing, project)
        assert (response.status_code, response.json()["code"]) == (422, "query_failed")
    for query in (fine, failing):
        response = await ask(api, query, project)
        assert (response.status_code, response.json()["code"]) == (422, "too_many_failures")
        assert "COHORT_QUERY_FAILURES_PER_DAY" in response.json()["detail"]
    assert (await ask(api, fine)).status_code == 200, "another project asks on"
    restarted = await serve_own(cohort_query_failures_per_day=2)
    assert (await ask(restarted, fine, project)).json()["code"] == "too_many_failures", "a restart forgets nothing"
    await execute(own_url, "UPDATE flip.query_failure SET at = at - interval '25 hours'")
    assert (await ask(restarted, fine, project)).status_code == 200


async def test_failing_at_the_same_time_does_not_get_around_the_count(serve_own: Start, own_url: str) -> None:
    api = await serve_own(cohort_query_failures_per_day=2, cohort_query_seconds=0.2)
    project = str(uuid4())
    slow = "SELECT a.person_id FROM person a JOIN concept x ON x.concept_id > 0 JOIN concept y ON y.concept_id > 0"
    answers = await asyncio.gather(*(ask(api, slow, project) for _ in range(6)))
    codes = sorted(answer.json()["code"] for answer in answers)
    assert codes == ["query_timeout"] * 2 + ["too_many_failures"] * 4


SLOW_APP = (
    "SELECT a.person_id, count(*) AS n FROM person a JOIN concept x ON x.concept_id > 0 "
    "JOIN concept y ON y.concept_id > 0 GROUP BY a.person_id"
)


async def test_waiting_for_others_is_no_failure_of_a_query(serve_own: Start, own_url: str) -> None:
    api = await serve_own(
        cohort_query_seconds=0.5, data_access_max_connections=1, data_access_statement_timeout_seconds=20
    )
    mine, other = str(uuid4()), str(uuid4())
    frozen = {"project_id": mine, "query": "SELECT person_id FROM person"}
    assert (await api.post("/cohort/freeze", json=frozen)).status_code == 200
    app = asyncio.create_task(api.post("/cohort/dataframe", json={"project_id": mine, "query": SLOW_APP}))
    try:
        await running(own_url, 1)
        # Other projects' slow queries: the third waits for a connection longer than it may run.
        slow = "SELECT a.person_id FROM person a JOIN concept x ON x.concept_id > 0 JOIN concept y ON y.concept_id > 0"
        others = [asyncio.create_task(ask(api, slow)) for _ in range(2)]
        await running(own_url, 2)
        assert (await ask(api, "SELECT person_id FROM person", other)).status_code == 200
        assert [(await one).json()["code"] for one in others] == ["query_timeout"] * 2
        assert not app.done(), "the app reads on"
    finally:
        app.cancel()
        await asyncio.gather(app, return_exceptions=True)
    assert await fetch(own_url, "SELECT count(*) FROM flip.query_failure WHERE project_id = $1", other) == 0


async def test_a_database_that_is_away_is_no_failure_of_a_query(serve_own: Start, own_url: str) -> None:
    api = await serve_own(cohort_query_failures_per_day=1)
    project = str(uuid4())
    assert (await ask(api, "SELECT person_id FROM person", project)).status_code == 200
    await execute(own_url, "ALTER ROLE flip_reader NOLOGIN")
    try:
        await execute(own_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'flip_reader'")
        for _ in range(2):
            assert (await ask(api, "SELECT person_id FROM person", project)).json()["code"] == "database_unavailable"
    finally:
        await execute(own_url, "ALTER ROLE flip_reader LOGIN")
    assert (await ask(api, "SELECT person_id FROM person", project)).status_code == 200


async def test_a_mistake_in_the_query_is_not_counted(serve_own: Start) -> None:
    api = await serve_own(cohort_query_failures_per_day=1)
    project = str(uuid4())
    for _ in range(3):
        response = await ask(api, "SELECT p.person_id, p.year_of_birth || 5 > 3 AS x FROM person p", project)
        assert response.json()["code"] == "query_failed"
        assert (await ask(api, "SELECT person_id, salary FROM person", project)).json()["code"] == "query_refused"


async def test_every_cohort_query_takes_the_same_time(serve_own: Start) -> None:
    seconds = 1.5
    api = await serve_own(cohort_query_seconds=seconds)
    fine = "SELECT person_id FROM person WHERE year_of_birth > 1950"
    few = "SELECT person_id FROM person WHERE year_of_birth < 1700"
    slow = "SELECT a.person_id FROM person a JOIN concept x ON x.concept_id > 0 JOIN concept y ON y.concept_id > 0"
    codes = []
    for query in (fine, few, slow):
        start = time.monotonic()
        response = await ask(api, query)
        assert seconds <= time.monotonic() - start < 2 * seconds
        codes.append(response.json().get("code"))
    assert codes == [None, None, "query_timeout"]


async def test_overlapping_columns_are_bounded(own_api: httpx.AsyncClient) -> None:
    """Of forty pairs of sets that differ by who is rare, some would differ in a rounded count if anybody is."""
    pairs = ", ".join(
        f"CASE WHEN p.year_of_birth % 41 > {k} AND {condition} THEN 'a' ELSE 'b' END AS c{k}_{i}"
        for k in range(20)
        for i, condition in enumerate(("true", f"m.measurement_concept_id <> {RARE}"))
    )
    attack = f"SELECT p.person_id, {pairs} FROM person p JOIN measurement m ON m.person_id = p.person_id"
    response = await ask(own_api, attack)
    assert (response.status_code, response.json()["code"]) == (422, "too_many_columns")
    assert "COHORT_QUERY_BINS_PER_PERSON" in response.json()["detail"]


async def test_overlapping_bins_of_one_column_are_bounded(serve_own: Start, own_url: str) -> None:
    """The same pairs as bins of one column, by way of rows that a vocabulary multiplies."""
    await execute(
        own_url, "DELETE FROM omop.concept WHERE concept_id NOT IN (SELECT concept_id FROM omop.concept LIMIT 30)"
    )
    attack = "SELECT p.person_id, c.concept_name FROM person p JOIN concept c ON c.concept_id > 0"
    people = (await ask(await serve_own(), "SELECT person_id FROM person")).json()["subjects"]["value"]
    for budget in (4, 12):
        (column,) = (await ask(await serve_own(cohort_query_bins_per_person=budget), attack)).json()["columns"]
        counted = sum(item["count"] for item in column["bins"] if item["label"] != "Other")
        assert counted <= budget * people + 5 * len(column["bins"])


async def test_nobody_and_few_look_the_same_in_a_distribution(own_api: httpx.AsyncClient, own_url: str) -> None:
    """Whatever the total's last digit: a bin that falls short of the total would prove who is missing from it."""
    query = (
        "SELECT p.person_id, CASE WHEN EXISTS (SELECT 1 FROM measurement m WHERE m.person_id = p.person_id AND "
        f"m.measurement_concept_id = {RARE}) THEN 'rare' ELSE 'x' END AS kind FROM person p"
    )
    for _ in range(10):
        seen = []
        for people in (0, 3, 9):
            await make_rare(own_url, people)
            body = (await ask(own_api, query)).json()
            seen.append([body["subjects"], body["columns"]])
        assert seen[0] == seen[1] == seen[2]
        await execute(own_url, "DELETE FROM omop.person WHERE person_id = (SELECT max(person_id) FROM omop.person)")


async def test_one_person_in_two_bins_changes_nothing_else(own_api: httpx.AsyncClient, own_url: str) -> None:
    """Whether bins overlap must not decide how small ones are merged: one person's second row would show."""
    seen = []
    rows = (
        "SELECT p.person_id, CASE WHEN p.year_of_birth % 50 = 1 THEN 'a' WHEN p.year_of_birth % 50 = 2 THEN 'b' "
        f"WHEN c.concept_id IS NOT NULL THEN 'second' ELSE 'x' END AS kind FROM person p LEFT JOIN concept c ON "
        "c.concept_id IN (SELECT min(d.concept_id) FROM concept d) AND EXISTS (SELECT 1 FROM measurement m "
        f"WHERE m.person_id = p.person_id AND m.measurement_concept_id = {RARE})"
    )
    for people in (0, 1):
        await make_rare(own_url, people)
        body = (await ask(own_api, rows)).json()
        seen.append(body["columns"])
    assert seen[0] == seen[1]

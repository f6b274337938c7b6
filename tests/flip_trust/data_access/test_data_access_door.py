"""Who may call, and what a caller learns when the database is down, slow or not prepared."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from flip_common.settings import SettingsError
from flip_trust.data_access.__main__ import app as cli
from flip_trust.data_access.app import create_app
from flip_trust.data_access.settings import DataAccessSettings

ROUTES = {
    "/cohort/statistics": {
        "query_id": str(uuid4()),
        "project_id": str(uuid4()),
        "query": "SELECT person_id FROM person",
    },
    "/cohort/freeze": {"project_id": str(uuid4()), "query": "SELECT person_id FROM person"},
    "/cohort/accessions": {"project_id": str(uuid4())},
    "/cohort/dataframe": {"project_id": str(uuid4()), "query": "SELECT person_id FROM person"},
}
HEADER = "X-Trust-Internal-Service-Key"
APP_KEY = "a-key-for-the-apps-of-this-site"  # as in conftest


def test_every_route_is_covered(settings: DataAccessSettings) -> None:
    assert set(create_app(settings).openapi()["paths"]) == {*ROUTES, "/health"}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("key", [None, "", "wrong", "a-key-for-the-trusts-own-service", "Bearer x"])
async def test_without_the_key_nobody_enters(api: httpx.AsyncClient, path: str, key: str | None) -> None:
    api.headers.pop(HEADER)
    response = await api.post(path, json=ROUTES[path], headers={} if key is None else {HEADER: key})
    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"


async def test_an_apps_key_opens_dataframes_and_nothing_else(api_with_apps: httpx.AsyncClient) -> None:
    """With more, an app could freeze a cohort of its own choosing and read that."""
    answers = {
        path: (await api_with_apps.post(path, json=body, headers={HEADER: APP_KEY})).status_code
        for path, body in ROUTES.items()
    }
    assert answers.pop("/cohort/dataframe") == 403  # let in, and told that this project has no frozen cohort
    assert set(answers.values()) == {401}


async def test_without_a_key_for_apps_no_app_reads(api: httpx.AsyncClient) -> None:
    path = "/cohort/dataframe"
    assert (await api.post(path, json=ROUTES[path], headers={HEADER: APP_KEY})).status_code == 401


@pytest.mark.parametrize("path", ROUTES)
async def test_a_strange_body_is_refused(api: httpx.AsyncClient, path: str) -> None:
    for body in ({}, {**ROUTES[path], "surprise": 1}, {**ROUTES[path], "project_id": "x"}, [], "x"):
        response = await api.post(path, json=body)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
    response = await api.post(path, content=b"x" * 300_000, headers={"content-type": "application/json"})
    assert response.status_code == 413


async def test_health_needs_no_key_and_says_nothing(api: httpx.AsyncClient) -> None:
    api.headers.pop(HEADER)
    response = await api.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ROUTES)
async def test_a_database_that_is_down(api_without_database: httpx.AsyncClient, path: str) -> None:
    response = await api_without_database.post(path, json=ROUTES[path])
    assert response.status_code == 503
    body = response.json()
    assert body["code"] == "database_unavailable"
    assert "prepare-database" in body["detail"]
    assert "secret-password" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("path", ROUTES)
async def test_a_database_that_was_not_prepared(api_unprepared: httpx.AsyncClient, path: str) -> None:
    response = await api_unprepared.post(path, json=ROUTES[path])
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")


async def test_a_slow_query_is_ended(hasty_api: httpx.AsyncClient) -> None:
    query = (
        "SELECT a.person_id, count(*) AS n FROM measurement a JOIN measurement b ON a.person_id = b.person_id "
        "JOIN measurement c ON c.person_id = a.person_id JOIN concept x ON x.concept_id > c.value_as_number "
        "JOIN concept y ON y.concept_id > b.value_as_number GROUP BY a.person_id"
    )
    body = {"query_id": str(uuid4()), "project_id": str(uuid4()), "query": query}
    response = await asyncio.wait_for(hasty_api.post("/cohort/statistics", json=body), 20)
    assert (response.status_code, response.json()["code"]) == (422, "query_timeout")
    body["query"] = "SELECT person_id FROM person WHERE year_of_birth < 1990"
    assert (await hasty_api.post("/cohort/statistics", json=body)).status_code == 200


def test_an_unsound_rule_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATA_ACCESS_DATABASE_URL": "postgresql://r:p@/x",
        "DATA_ACCESS_OWNER_DATABASE_URL": "postgresql://o@/x",
        "TRUST_INTERNAL_SERVICE_KEY": "0123456789abcdef",
        "COHORT_QUERY_ROUNDING": "50",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="rounding 50 is over the threshold 10"):
        DataAccessSettings.load()
    monkeypatch.setenv("COHORT_QUERY_TRESHOLD", "5")
    with pytest.raises(SettingsError, match="did you mean COHORT_QUERY_THRESHOLD"):
        DataAccessSettings.load()


def env_file(folder: Path, owner_url: str, reader_url: str) -> Path:
    path = folder / "data-access.env"
    path.write_text(
        f"DATA_ACCESS_DATABASE_URL={reader_url}\nDATA_ACCESS_OWNER_DATABASE_URL={owner_url}\n"
        "TRUST_INTERNAL_SERVICE_KEY=0123456789abcdef\n"
    )
    return path


def test_prepare_database_from_the_command_line(tmp_path: Path, owner_url: str, reader_url: str) -> None:
    run = CliRunner().invoke
    done = run(cli, ["prepare-database", "--env-file", str(env_file(tmp_path, owner_url, reader_url))])
    assert done.exit_code == 0
    assert done.output.startswith("the database is ready; ")
    again = run(cli, ["prepare-database", "--dry-run", "--env-file", str(env_file(tmp_path, owner_url, reader_url))])
    assert (again.exit_code, again.output) == (0, "the database is ready; nothing had to be changed\n")
    nowhere = env_file(tmp_path, "postgresql://o:secret-word@127.0.0.1:1/x", reader_url)
    failed = run(cli, ["prepare-database", "--env-file", str(nowhere)])
    assert failed.exit_code == 2
    assert "cannot be prepared" in failed.output
    assert "secret-word" not in failed.output
    unusable = env_file(tmp_path, owner_url, reader_url.replace("flip_reader:pass-word", "flip_reader"))
    assert "no password" in run(cli, ["prepare-database", "--env-file", str(unusable)]).output
    assert run(cli, ["--env-file", str(tmp_path / "none.env")]).exit_code == 2
    assert "Example:" in run(cli, ["--help"]).output


def test_the_process_serves_and_stops_on_sigterm(tmp_path: Path, owner_url: str, reader_url: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flip_trust.data_access", "--port", "0", "--env-file",
         str(env_file(tmp_path, owner_url, reader_url))],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "Uvicorn running" in line:
                assert '"service":"data-access-api"' in line.replace('": "', '":"')
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(15) in (0, -signal.SIGTERM), rest
        assert "pass-word" not in rest
    finally:
        process.kill()
        process.wait()
        process.stderr.close()

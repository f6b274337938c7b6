"""Columns that a site has added to CDM tables: unread, unless the site says otherwise."""

from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from flip_common.settings import SettingsError
from flip_trust.data_access.catalogue import ALLOWED_TABLES, allowed_columns
from flip_trust.data_access.cdm import CDM_COLUMNS
from flip_trust.data_access.prepare import prepare_database
from flip_trust.data_access.settings import DataAccessSettings

QUERY = "SELECT person_id FROM person WHERE hospital_number = 'A12'"


async def ask(api: httpx.AsyncClient, query: str = QUERY) -> dict[str, Any]:
    body = {"query_id": str(uuid4()), "project_id": str(uuid4()), "query": query}
    answer: dict[str, Any] = (await api.post("/cohort/statistics", json=body)).json()
    return answer


def test_every_allowed_table_has_its_columns() -> None:
    assert set(CDM_COLUMNS) == ALLOWED_TABLES
    assert len(CDM_COLUMNS["person"]) == 18
    assert all(columns for columns in CDM_COLUMNS.values())


async def test_a_sites_own_column_is_not_read(own_site: Any, serve_own: Any) -> None:
    owner = await asyncpg.connect(own_site.owner_url)
    await owner.execute("ALTER TABLE omop.person ADD hospital_number text DEFAULT 'A12'")
    await prepare_database(own_site.owner_url, own_site.reader_url)
    api = await serve_own()
    assert (await ask(api))["reason"] == "unknown_name"
    reader = await asyncpg.connect(own_site.reader_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch("SELECT hospital_number FROM omop.person")
    # Where the role of an earlier release may still read it, the guard stands alone.
    await owner.execute("GRANT SELECT ON omop.person TO flip_reader")
    assert (await ask(await serve_own()))["reason"] == "unknown_name"
    await reader.close()
    await owner.close()


async def test_a_site_may_add_its_column(own_site: Any, serve_own: Any) -> None:
    owner = await asyncpg.connect(own_site.owner_url)
    await owner.execute("ALTER TABLE omop.person ADD ward text DEFAULT 'east', ADD hospital_id text")
    await owner.close()
    extra = "person.ward, person.hospital_id"
    await prepare_database(own_site.owner_url, own_site.reader_url, columns=allowed_columns(extra))
    api = await serve_own(data_access_extra_columns=extra)
    answer = await ask(api, "SELECT person_id, ward FROM person WHERE ward = 'east'")
    assert [item["label"] for item in answer["columns"][0]["bins"]] == ["east"]
    refused = await ask(api, "SELECT person_id FROM person WHERE hospital_id = 'x'")
    assert refused["reason"] == "person_literal", "it is still classified by its name"


@pytest.mark.parametrize("item", ["ward", "note.note_text", "person.Ward", "person.ward;x", "omop.person.ward"])
def test_a_column_that_cannot_be_allowed_is_named(monkeypatch: pytest.MonkeyPatch, item: str) -> None:
    for name, value in {
        "DATA_ACCESS_DATABASE_URL": "postgresql://r:p@/x",
        "DATA_ACCESS_OWNER_DATABASE_URL": "postgresql://o@/x",
        "TRUST_INTERNAL_SERVICE_KEY": "0123456789abcdef",
        "DATA_ACCESS_EXTRA_COLUMNS": f"person.ward, {item}",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="is no column that can be allowed"):
        DataAccessSettings.load()

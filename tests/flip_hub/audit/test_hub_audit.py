"""The audit trail: complete, searchable, and never changed."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from flip_common.wire import Role
from flip_hub.audit.service import record
from flip_hub.db import utcnow


@pytest.fixture
async def admin(sign_in_as):
    return await sign_in_as(Role.ADMIN, email="root@example.org")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE id = -1",
        "TRUNCATE audit_events",
        "SET session_replication_role = replica; DELETE FROM audit_events",
        "INSERT INTO audit_events SELECT * FROM audit_events ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
async def test_nothing_in_it_changes_not_even_for_the_superuser(hub, admin, statement):
    *settings, last = statement.split("; ")
    async with hub.db.transaction() as session:
        for setting in settings:
            await session.execute(text(setting))
        with pytest.raises(DBAPIError, match="append-only"):
            await session.execute(text(last))
        await session.rollback()
    assert (await admin.client.get("/api/audit")).json()["events"][0]["actor"] == "test"


async def test_ordinary_roles_have_no_right_to_change_it(hub):
    async with hub.db.transaction() as session:
        granted = await session.scalars(
            text("SELECT privilege_type FROM information_schema.table_privileges WHERE table_name = 'audit_events'")
        )
        assert {"UPDATE", "DELETE", "TRUNCATE"}.isdisjoint(granted.all())


async def test_filters_and_pages(hub, admin):
    entity_id = uuid4()
    began = utcnow()
    async with hub.db.transaction() as session:
        for number in range(7):
            await record(session, f"trust:{number % 2}", "thing.change", "thing", entity_id, None, {"number": number})

    async def read(**filters):
        answer = await admin.client.get("/api/audit", params=filters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    seen, before_id = [], {}
    while True:
        page = await read(entity="thing", limit=3, **before_id)
        seen += [event["after"]["number"] for event in page["events"]]
        if page["next_before_id"] is None:
            break
        before_id = {"before_id": page["next_before_id"]}
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    assert len((await read(entity_id=str(entity_id), actor="trust:1"))["events"]) == 3
    assert len((await read(action="thing.change", since=began.isoformat()))["events"]) == 7
    assert (await read(action="thing.change", until=began.isoformat()))["events"] == []
    assert (await read(since=(began + timedelta(hours=1)).isoformat()))["events"] == []
    assert (await read(actor="' OR 1=1 --"))["events"] == []


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-01-01T00:00:00",
        "since=0001-01-01T00:00:00%2B14:00",
        "until=9999-12-31T23:59:59-14:00",
        "limit=0",
        "limit=501",
        "before_id=0",
        "actor=%00",
    ],
)
async def test_malformed_filters(admin, query):
    assert (await admin.client.get(f"/api/audit?{query}")).status_code == 422


async def test_an_event_carries_the_id_the_hub_gave_its_request(admin):
    made = await admin.client.post("/api/trusts", json={"name": "A"}, headers={"X-Request-Id": "chosen-by-the-client"})
    (event,) = (await admin.client.get("/api/audit", params={"action": "trust.register"})).json()["events"]
    assert (event["request_id"], event["actor"], event["actor_id"]) == (
        made.headers["x-request-id"],
        admin.email,
        str(admin.user_id),
    )
    assert event["request_id"] != "chosen-by-the-client"


async def test_secrets_are_kept_out(hub, admin):
    async with hub.db.transaction() as session:
        for name in ("password", "api_key", "new_password", "aes_key_base64", "token"):
            with pytest.raises(ValueError, match=f"{name} may be secret"):
                await record(session, "hub", "a.b", "a", "1", None, {"deep": [{name: "x"}]})
        leaked = "flip_" + "k" * 43
        await record(session, "hub", "a.b", "a", "1", None, {"note": f"the key is {leaked}"})
    assert leaked not in (await admin.client.get("/api/audit")).text


async def test_a_cohort_query_stands_there_word_for_word(hub, admin):
    hiding = "SELECT person_id FROM person WHERE'://a:'='b'OR(year_of_birth=1931)OR'@'='c'"
    async with hub.db.transaction() as session:
        await record(session, "hub", "cohort_query.create", "cohort_query", "1", None, {"query": hiding})
    (event,) = (await admin.client.get("/api/audit", params={"action": "cohort_query.create"})).json()["events"]
    assert event["after"]["query"] == hiding


async def test_a_change_that_fails_leaves_no_event(admin):
    await admin.client.post("/api/trusts", json={"name": "A"})
    await admin.client.post("/api/trusts", json={"name": "A"})
    assert len((await admin.client.get("/api/audit", params={"action": "trust.register"})).json()["events"]) == 1

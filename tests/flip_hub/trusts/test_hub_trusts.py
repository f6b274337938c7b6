"""Trusts: registration, keys, health."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from flip_common.keys import PayloadKey
from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.trusts import service
from flip_hub.trusts.keys import live_payload_keys

SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLl4V7Yb6vN7Hsc2s7mTZ0aQbTHUb5d1qVhGZcJxk0x site-a"


@pytest.fixture
async def admin(sign_in_as):
    return await sign_in_as(Role.ADMIN, email="root@example.org")


def beat(**changes):
    return {"release": "1.2", "services": {"xnat": True}, "sent_at": datetime.now(UTC).isoformat(), **changes}


async def test_registering_hands_out_the_kit_once(admin, hub):
    answer = await admin.client.post("/api/trusts", json={"name": "St-Elsewhere"})
    assert answer.status_code == 201
    kit = answer.json()
    PayloadKey.from_base64(kit["aes_key_base64"])
    assert (kit["trust_name"], kit["hub_api_path"], kit["api_key_header"]) == (
        "St-Elsewhere",
        "/api",
        "X-Trust-Api-Key",
    )
    later = [
        (await admin.client.get(path)).text
        for path in (
            "/api/trusts",
            f"/api/trusts/{kit['trust_id']}",
            f"/api/trusts/{kit['trust_id']}/keys",
            "/api/audit",
        )
    ]
    async with hub.db.transaction() as session:
        later += [str(row) for row in (await session.execute(text("SELECT * FROM trust_keys"))).all()]
    for secret in (kit["api_key"], kit["aes_key_base64"]):
        assert secret not in "".join(later)


async def test_names_are_unique_whatever_their_case(admin):
    answers = await asyncio.gather(
        *(admin.client.post("/api/trusts", json={"name": name}) for name in ("Guys", "GUYS", "guys"))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


@pytest.mark.parametrize("name", ["", "a b", "../etc", "a/b", "-a", "ä", "x" * 64, "a\x00"])
async def test_names_that_are_refused(admin, name):
    assert (await admin.client.post("/api/trusts", json={"name": name})).status_code == 422


async def test_a_heartbeat_says_who_the_caller_is_and_how_it_is(register_trust, admin):
    trust = await register_trust("A")
    (before,) = (await admin.client.get("/api/trusts")).json()
    assert (before["online"], before["last_heartbeat_at"], before["services"]) == (False, None, {})
    answer = (await trust.post("heartbeat", beat(tasks_running=2))).json()
    assert (answer["trust_id"], answer["trust_name"], answer["release"]) == (str(trust.trust_id), "A", "development")
    (after,) = (await admin.client.get("/api/trusts")).json()
    assert (after["online"], after["services"], after["tasks_running"]) == (True, {"xnat": True}, 2)
    assert after["release"] == "1.2"


@pytest.mark.parametrize("hours", [-26, 0, 26])
async def test_a_skewed_clock_is_reported_and_decides_nothing(register_trust, admin, hours):
    trust = await register_trust("A")
    sent_at = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    answer = (await trust.post("heartbeat", beat(sent_at=sent_at))).json()
    assert answer["clock_skew_seconds"] == pytest.approx(hours * 3600, abs=30)
    (seen,) = (await admin.client.get("/api/trusts")).json()
    assert seen["online"] is True
    assert seen["clock_skew_seconds"] == pytest.approx(hours * 3600, abs=30)


@pytest.mark.parametrize("settings_changes", [{"trust_stale_seconds": 0.05}])
async def test_a_trust_that_falls_silent_counts_as_offline(register_trust, admin):
    trust = await register_trust("A")
    await trust.post("heartbeat", beat())
    async with asyncio.timeout(10):
        while (await admin.client.get(f"/api/trusts/{trust.trust_id}")).json()["online"]:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "changes",
    [
        {"sent_at": "2026-01-31T12:00:00"},
        {"sent_at": "yesterday"},
        {"release": "x" * 65},
        {"release": "1.0\0"},
        {"services": {"imaging\0": True}},
        {"tasks_running": 2**31},
        {"services": {str(number): True for number in range(33)}},
        {"more": 1},
    ],
)
async def test_malformed_heartbeats(register_trust, changes):
    trust = await register_trust("A")
    assert (await trust.post("heartbeat", beat(**changes))).status_code == 422


async def test_two_keys_live_a_third_is_refused(register_trust, admin, open_kit):
    old = await register_trust("A")
    path = f"/api/trusts/{old.trust_id}/keys"
    raced = await asyncio.gather(*(admin.client.post(path) for _ in range(4)))
    assert sorted(answer.status_code for answer in raced) == [201, 409, 409, 409]
    new = open_kit(next(answer.json() for answer in raced if answer.status_code == 201))
    for side in (old, new):
        assert (await side.post("heartbeat", beat())).status_code == 200
    for _ in range(2):  # repeating it is harmless
        assert (await admin.client.delete(f"{path}/{old.key_id}")).status_code == 200
    refused = await old.post("heartbeat", beat())
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert (await new.post("heartbeat", beat())).status_code == 200
    assert (await admin.client.post(path)).status_code == 201
    keys = (await admin.client.get(path)).json()
    assert [key["retired_at"] is None for key in keys] == [False, True, True]


async def test_keys_of_another_trust_cannot_be_retired_through_this_one(register_trust, admin):
    mine, other = await register_trust("A"), await register_trust("B")
    assert (await admin.client.delete(f"/api/trusts/{mine.trust_id}/keys/{other.key_id}")).status_code == 404
    assert (await other.post("heartbeat", beat())).status_code == 200


async def test_without_a_live_key_nothing_can_be_sealed(register_trust, admin, hub):
    trust = await register_trust("A")
    await admin.client.delete(f"/api/trusts/{trust.trust_id}/keys/{trust.key_id}")
    async with hub.db.transaction() as session:
        with pytest.raises(Problem, match="has no live key"):
            await live_payload_keys(session, hub.vault, trust.trust_id)


async def test_unknown_trusts(admin):
    path = f"/api/trusts/{uuid4()}"
    assert (await admin.client.get(path)).status_code == 404
    assert (await admin.client.get(f"{path}/keys")).status_code == 404
    assert (await admin.client.post(f"{path}/keys")).status_code == 404
    assert (await admin.client.delete(f"{path}/keys/{uuid4()}")).status_code == 404
    assert (await admin.client.patch(path, json={"enabled": False})).status_code == 404


async def test_an_fl_key_that_cannot_be_kept_is_refused(register_trust):
    trust = await register_trust("A")
    answer = await trust.client.put("/api/trust/fl-key", json={"public_key": SSH_KEY + "\0"}, headers=trust.headers)
    assert answer.status_code == 422


async def test_the_fl_key_is_kept_and_handed_on(register_trust, admin, hub, monkeypatch):
    trust = await register_trust("A")
    told = []

    async def hook(of_hub, name, key):
        told.append((of_hub, name, key.public_key))

    monkeypatch.setattr(service, "FL_KEY_HOOKS", [])
    assert service.on_fl_key(hook) is hook
    put = trust.client.put
    for _ in range(2):
        answer = await put("/api/trust/fl-key", json={"public_key": SSH_KEY}, headers=trust.headers)
        assert answer.status_code == 204
    assert told == [(hub, "A", SSH_KEY)] * 2
    assert (await admin.client.get(f"/api/trusts/{trust.trust_id}")).json()["fl_key_registered"] is True

    async def failing(of_hub, name, key):
        raise Problem(503, "net_unreachable", "the net cannot be reached; try again")

    service.on_fl_key(failing)
    other = SSH_KEY.replace("site-a", "site-b")
    assert (await put("/api/trust/fl-key", json={"public_key": other}, headers=trust.headers)).status_code == 503
    async with hub.db.transaction() as session:
        assert (await service.get(session, trust.trust_id)).fl_public_key == other
    events = (await admin.client.get("/api/audit", params={"action": "trust.fl_key"})).json()["events"]
    assert [(event["actor"], event["before"]) for event in events] == [
        ("trust:A", {"fl_public_key": SSH_KEY}),
        ("trust:A", None),
    ]

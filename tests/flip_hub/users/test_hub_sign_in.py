"""Signing in, staying in, being thrown out."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.db import utcnow
from flip_hub.users import passwords
from flip_hub.users.tables import SignInFailure, User, UserSession
from flip_hub.users.throttle import MAX_PER_ACCOUNT, MAX_PER_ADDRESS, WINDOW, throttled

PASSWORD = "correct horse battery"


@pytest.fixture
def sign_in(client):
    async def post(email, password=PASSWORD):
        return await client.post("/api/auth/sign-in", json={"email": email, "password": password})

    return post


async def me(client, token):
    return await client.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})


async def test_signing_in_and_out(sign_in, sign_in_as, client, hub):
    person = await sign_in_as(Role.RESEARCHER, email="ada@example.org")
    signed_in = (await sign_in("  Ada@Example.org ")).json()
    answer = (await me(client, signed_in["token"])).json()
    assert answer == {"user_id": str(person.user_id), "email": person.email, "roles": ["RESEARCHER"], "trust_ids": []}
    headers = {"Authorization": f"Bearer {signed_in['token']}"}
    assert (await client.post("/api/auth/sign-out", headers=headers)).status_code == 204
    assert (await me(client, signed_in["token"])).status_code == 401
    assert (await person.client.get("/api/auth/me")).status_code == 200, "other sessions go on"


async def test_unknown_wrong_and_disabled_look_the_same(sign_in, sign_in_as):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    disabled = await sign_in_as(Role.VIEWER, email="eve@example.org")
    admin = await sign_in_as(Role.ADMIN)
    await admin.client.patch(f"/api/users/{disabled.user_id}", json={"enabled": False})
    answers = [
        await sign_in("nobody@example.org"),
        await sign_in("ada@example.org", "wrong horse battery"),
        await sign_in("eve@example.org"),
    ]
    assert {answer.status_code for answer in answers} == {401}
    seen = [{key: value for key, value in answer.json().items() if key != "request_id"} for answer in answers]
    assert seen[0] == seen[1] == seen[2]


async def test_an_address_that_the_database_cannot_hold_is_refused(sign_in):
    assert (await sign_in("ada\0@example.org")).status_code == 422


async def test_an_unknown_address_costs_a_hash_too(monkeypatch):
    verified = []

    class Counting(PasswordHasher):
        def verify(self, hashed, password):
            verified.append(hashed)
            return super().verify(hashed, password)

    monkeypatch.setattr(passwords, "_hasher", Counting(time_cost=1, memory_cost=8, parallelism=1))
    passwords._nobody.cache_clear()
    assert await passwords.password_matches(None, "x") is False
    assert await passwords.password_matches(None, "nobody has this password") is False
    assert len(verified) == 2


def test_passwords_are_hashed_as_rfc_9106_recommends():
    hasher = PasswordHasher()
    assert (hasher.type.name, hasher.memory_cost >= 65536, hasher.time_cost >= 3) == ("ID", True, True)


async def test_only_hashes_are_kept(sign_in, sign_in_as, hub):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    token = (await sign_in("ada@example.org")).json()["token"]
    async with hub.db.transaction() as session:
        hashes = (await session.scalars(select(UserSession.token_hash))).all()
        password_hash = await session.scalar(select(User.password_hash))
    assert len(token) >= 43
    assert token not in hashes
    assert PASSWORD not in password_hash
    assert password_hash.startswith("$argon2id$")


async def test_a_session_ends_at_its_time(sign_in_as, hub):
    person = await sign_in_as(Role.VIEWER)
    assert (await person.client.get("/api/auth/me")).status_code == 200
    async with hub.db.transaction() as session:
        await session.execute(update(UserSession).values(expires_at=utcnow()))
    assert (await person.client.get("/api/auth/me")).status_code == 401


@pytest.mark.parametrize("settings_changes", [{"hub_session_hours": 0.5}])
async def test_hub_session_hours_says_when(sign_in, sign_in_as, hub):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    await sign_in("ada@example.org")
    async with hub.db.transaction() as session:
        ends = await session.scalar(select(func.max(UserSession.expires_at)))
    assert timedelta(minutes=29) < ends - utcnow() <= timedelta(minutes=30)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer wrong", "Bearer \x00"])
async def test_what_is_no_token(client, header):
    assert (await client.get("/api/auth/me", headers={"Authorization": header})).status_code == 401


async def test_changing_the_password_ends_all_other_sessions(sign_in, sign_in_as, client):
    person = await sign_in_as(Role.VIEWER, email="ada@example.org")
    other = (await sign_in("ada@example.org")).json()["token"]
    new = "a new horse battery"

    async def change(current, wanted):
        body = {"current_password": current, "new_password": wanted}
        return await person.client.post("/api/auth/password", json=body)

    assert (await change("wrong horse battery", new)).json()["code"] == "wrong_password"
    short = await change(PASSWORD, "short")
    assert (short.status_code, "short" in short.json()["detail"].split(": ")[-1]) == (422, False)
    assert (await change(PASSWORD, new)).status_code == 204
    assert (await person.client.get("/api/auth/me")).status_code == 200
    assert (await me(client, other)).status_code == 401
    assert (await sign_in("ada@example.org")).status_code == 401
    assert (await sign_in("ada@example.org", new)).status_code == 200


async def test_too_many_failures_for_an_account(sign_in, sign_in_as, hub):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    await sign_in_as(Role.VIEWER, email="eve@example.org")
    for _ in range(MAX_PER_ACCOUNT):
        assert (await sign_in("ada@example.org", "wrong horse battery")).status_code == 401
    for _ in range(3):
        refused = await sign_in("ada@example.org")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    assert (await sign_in("eve@example.org")).status_code == 200
    async with hub.db.transaction() as session:
        await session.execute(update(SignInFailure).values(at=utcnow() - WINDOW))
    assert (await sign_in("ada@example.org")).status_code == 200, "refused tries must not prolong the wait"


async def test_a_success_forgives_earlier_failures(sign_in, sign_in_as):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    for _ in range(3):
        for _ in range(MAX_PER_ACCOUNT - 1):
            assert (await sign_in("ada@example.org", "wrong horse battery")).status_code == 401
        assert (await sign_in("ada@example.org")).status_code == 200


async def test_a_hundred_tries_at_once_do_not_slip_past_the_count(sign_in, sign_in_as):
    await sign_in_as(Role.VIEWER, email="ada@example.org")
    answers = await asyncio.gather(*(sign_in("ada@example.org", f"wrong horse {number:08}") for number in range(60)))
    tried = sum(answer.status_code == 401 for answer in answers)
    assert tried <= MAX_PER_ACCOUNT


async def test_guessing_the_current_password_is_throttled_too(sign_in_as):
    person = await sign_in_as(Role.VIEWER)
    body = {"current_password": "wrong horse battery", "new_password": "a new horse battery"}
    codes = [(await person.client.post("/api/auth/password", json=body)).status_code for _ in range(11)]
    assert codes == [403] * MAX_PER_ACCOUNT + [429]


async def test_many_password_changes_at_once_do_not_starve_each_other(sign_in_as, client):
    """More than the pool has connections, so a request that held one while it waits for another would hang."""
    people = [await sign_in_as(Role.VIEWER) for _ in range(30)]
    body = {"current_password": PASSWORD, "new_password": "a new horse battery"}
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(one.client.post("/api/auth/password", json=body) for one in people))
    assert {answer.status_code for answer in answers} == {204}


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (["10.0.0.1"], True),
        (["2001:db8::1", "2001:db8::2"], True),  # one /64 is one caller
        (["10.0.0.1", "10.0.0.2"], False),
        (["not an address"], True),
    ],
)
async def test_too_many_failures_from_an_address(hub, addresses, refused):
    for number in range(MAX_PER_ADDRESS):
        async with throttled(hub.db, f"user-{number}@example.org", addresses[number % len(addresses)]):
            pass
    expected = pytest.raises(Problem, match="too many failed sign-ins") if refused else nullcontext()
    with expected:
        async with throttled(hub.db, "another@example.org", addresses[0]) as attempt:
            attempt.succeeded = True


async def test_what_people_type_as_email_is_not_kept(sign_in, hub):
    await sign_in(PASSWORD, "whatever it was")
    async with hub.db.transaction() as session:
        rows = (await session.execute(select(SignInFailure.account, SignInFailure.address))).all()
    assert len(rows) == 1
    assert PASSWORD not in str(rows)

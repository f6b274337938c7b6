"""Administration of users."""

import asyncio
from uuid import uuid4

import pytest

from flip_common.wire import Role

PASSWORD = "correct horse battery"


@pytest.fixture
async def admin(sign_in_as):
    return await sign_in_as(Role.ADMIN, email="root@example.org")


def new_user(**changes):
    return {"email": "ada@example.org", "password": PASSWORD, "roles": ["RESEARCHER"], **changes}


async def test_a_user_is_made_seen_and_signs_in(admin, client):
    made = await admin.client.post("/api/users", json=new_user(email="Ada@Example.org", full_name="Ada Lovelace"))
    assert made.status_code == 201
    user = made.json()
    assert (user["email"], user["roles"], user["enabled"]) == ("ada@example.org", ["RESEARCHER"], True)
    assert "password" not in made.text
    assert (await admin.client.get(f"/api/users/{user['user_id']}")).json() == user
    assert user in (await admin.client.get("/api/users")).json()
    body = {"email": "ada@example.org", "password": PASSWORD}
    assert (await client.post("/api/auth/sign-in", json=body)).status_code == 200


async def test_one_account_an_address(admin):
    assert (await admin.client.post("/api/users", json=new_user())).status_code == 201
    twice = await admin.client.post("/api/users", json=new_user(email="ADA@example.org"))
    assert (twice.status_code, twice.json()["code"]) == (409, "user_exists")
    raced = await asyncio.gather(
        *(admin.client.post("/api/users", json=new_user(email="b@example.org")) for _ in range(5))
    )
    assert sorted(answer.status_code for answer in raced) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "no address"},
        {"email": "@"},
        {"email": "a\x00@b"},
        {"password": "elevenchars"},
        {"password": "x" * 257},
        {"roles": []},
        {"roles": ["KING"]},
        {"trust_ids": ["00000000-0000-4000-8000-000000000000"]},
        {"admin": True},
    ],
)
async def test_what_no_user_can_be_made_of(admin, changes):
    refused = await admin.client.post("/api/users", json=new_user(**changes))
    assert refused.status_code == 422
    assert changes.get("password", "\0") not in refused.text


async def test_an_owner_owns_trusts_that_exist(admin, register_trust):
    trust = await register_trust("A")
    owner = new_user(roles=["TRUST_OWNER"], trust_ids=[str(trust.trust_id)])
    made = (await admin.client.post("/api/users", json=owner)).json()
    assert made["trust_ids"] == [str(trust.trust_id)]
    path = f"/api/users/{made['user_id']}"
    unknown = await admin.client.patch(path, json={"trust_ids": [str(uuid4())]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_trust")
    viewer = (await admin.client.patch(path, json={"roles": ["VIEWER"]})).json()
    assert viewer["trust_ids"] == [], "who is no owner owns nothing"
    refused = await admin.client.patch(path, json={"trust_ids": [str(trust.trust_id)]})
    assert (refused.status_code, refused.json()["code"]) == (422, "not_a_trust_owner")


async def test_a_change_of_role_counts_at_once(admin, sign_in_as, register_trust):
    trust = await register_trust("A")
    person = await sign_in_as(Role.VIEWER)
    assert (await person.client.get("/api/users")).status_code == 403
    change = {"roles": ["ADMIN", "TRUST_OWNER"], "trust_ids": [str(trust.trust_id)], "full_name": "Eve"}
    changed = await admin.client.patch(f"/api/users/{person.user_id}", json=change)
    assert changed.json()["full_name"] == "Eve"
    assert (await person.client.get("/api/users")).status_code == 200
    assert (await person.client.get("/api/auth/me")).json()["trust_ids"] == [str(trust.trust_id)]


async def test_disabling_ends_sessions_at_once_and_for_good(admin, sign_in_as):
    person = await sign_in_as(Role.VIEWER)
    path = f"/api/users/{person.user_id}"
    assert (await admin.client.patch(path, json={"enabled": False})).json()["enabled"] is False
    assert (await person.client.get("/api/auth/me")).status_code == 401
    assert (await admin.client.patch(path, json={"enabled": True})).json()["enabled"] is True
    assert (await person.client.get("/api/auth/me")).status_code == 401


async def test_a_new_password_ends_sessions(admin, sign_in_as, client):
    person = await sign_in_as(Role.VIEWER)
    await admin.client.patch(f"/api/users/{person.user_id}", json={"password": "a new horse battery"})
    assert (await person.client.get("/api/auth/me")).status_code == 401
    body = {"email": person.email, "password": "a new horse battery"}
    assert (await client.post("/api/auth/sign-in", json=body)).status_code == 200


@pytest.mark.parametrize("change", [{"enabled": False}, {"roles": ["VIEWER"]}])
async def test_the_last_administrator_stays(admin, sign_in_as, change):
    refused = await admin.client.patch(f"/api/users/{admin.user_id}", json=change)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    second = await sign_in_as(Role.ADMIN)
    both = [(admin, second), (second, admin)]
    answers = await asyncio.gather(
        *(one.client.patch(f"/api/users/{other.user_id}", json=change) for one, other in both)
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 401], [200, 403])


async def test_users_come_in_pages(admin, sign_in_as):
    for name in "cab":
        await sign_in_as(Role.VIEWER, email=f"{name}@example.org")
    first = (await admin.client.get("/api/users", params={"limit": 2})).json()
    rest = (await admin.client.get("/api/users", params={"after": first[-1]["email"]})).json()
    assert [user["email"][0] for user in first + rest] == ["a", "b", "c", "r"]


async def test_a_page_behind_what_no_address_can_be(admin):
    assert (await admin.client.get("/api/users?after=a%00b")).status_code == 422


async def test_unknown_users(admin):
    path = f"/api/users/{uuid4()}"
    assert (await admin.client.get(path)).status_code == 404
    assert (await admin.client.patch(path, json={"enabled": False})).status_code == 404
    assert (await admin.client.get("/api/users/nobody")).status_code == 422


async def test_changes_are_in_the_audit_trail_without_passwords(admin):
    made = (await admin.client.post("/api/users", json=new_user())).json()
    change = {"password": "a new horse battery", "roles": ["VIEWER"]}
    await admin.client.patch(f"/api/users/{made['user_id']}", json=change)
    answer = await admin.client.get("/api/audit", params={"entity_id": made["user_id"]})
    changed, created = answer.json()["events"]
    assert (created["action"], created["before"], created["after"]["roles"]) == ("user.create", None, ["RESEARCHER"])
    assert (changed["actor"], changed["actor_id"]) == (admin.email, str(admin.user_id))
    assert (changed["before"]["roles"], changed["after"]["roles"]) == (["RESEARCHER"], ["VIEWER"])
    assert changed["after"]["credential_reset"] is True
    assert "horse" not in answer.text

"""Users' profiles go to the trusts of their projects, to nobody else, once, and in order."""

import asyncio
from typing import Any

import pytest
from hub_world import Site, World, ok, problem

from flip_common.wire import LeasedTask, Role, TaskType, UpdateUserProfilePayload, UpdateUserProfileResult

APPLIED = UpdateUserProfileResult(applied=True)


async def asked(site: Site) -> list[tuple[LeasedTask, UpdateUserProfilePayload]]:
    """The profiles the trust is asked to take now."""
    leased = await site.side.lease(50)
    return [(task, site.side.payload(task)) for task in leased if task.type is TaskType.UPDATE_USER_PROFILE]


async def told(site: Site) -> dict[str, tuple[str, bool]]:
    """Takes all profiles; name and state by user, those that answers bring about included."""
    found: dict[str, tuple[str, bool]] = {}
    while tasks := await asked(site):
        for task, profile in tasks:
            ok(await site.side.answer(task, APPLIED), 204)
            assert profile.email == profile.username
            found[profile.username] = profile.full_name, profile.enabled
    return found


async def add(world: World, person: Any, status: int = 201) -> Any:
    return ok(await world.owner.client.post(f"{world.url}/members", json={"email": person.email}), status)


async def patch(world: World, person: Any, **body: Any) -> Any:
    return ok(await world.admin.client.patch(f"/api/users/{person.user_id}", json=body))


async def profiles(world: World, person: Any) -> list[dict[str, Any]]:
    return list(ok(await world.admin.client.get(f"/api/users/{person.user_id}/profiles")))


@pytest.fixture
async def member(sign_in_as: Any) -> Any:
    return await sign_in_as(Role.RESEARCHER, email="ada@example.org")


async def test_an_approval_tells_the_trust_who_takes_part_and_no_other_trust(world: World, member: Any) -> None:
    await add(world, member)
    await world.staged()
    first, second = world.sites
    await world.decide(first, "APPROVED")
    assert await told(first) == {"owner@example.org": ("", True), "ada@example.org": ("", True)}
    assert await told(second) == {}
    await world.decide(second, "REJECTED")
    assert await told(second) == {}


async def test_a_new_member_is_told_to_approved_trusts_once(world: World, member: Any) -> None:
    await world.staged()
    first, second = world.sites
    await world.decide(first, "APPROVED")
    await told(first)
    for _ in range(2):
        await add(world, member)
    assert await told(first) == {"ada@example.org": ("", True)}
    await add(world, member)
    await world.decide(first, "APPROVED")
    assert await told(first) == await told(second) == {}


async def test_name_and_state_follow_and_nothing_else_does(world: World, member: Any) -> None:
    await add(world, member)
    await world.approved()
    await patch(world, member, full_name="Ada Lovelace")
    for site in world.sites:
        assert await told(site) == {"ada@example.org": ("Ada Lovelace", True)}
    await patch(world, member, full_name="Ada Lovelace")
    await patch(world, member, roles=["VIEWER"], password="another horse battery")
    await patch(world, world.sites[0].owner, full_name="No Member")
    assert [await told(site) for site in world.sites] == [{}, {}]
    await patch(world, member, enabled=False)
    assert await told(world.sites[0]) == {"ada@example.org": ("Ada Lovelace", False)}
    await patch(world, member, enabled=True)
    assert await told(world.sites[0]) == {"ada@example.org": ("Ada Lovelace", True)}


async def test_who_takes_part_no_more_is_disabled_at_the_trust(world: World, member: Any) -> None:
    await add(world, member)
    await world.approved()
    ok(await world.owner.client.delete(f"{world.url}/members/{member.user_id}"), 204)
    assert await told(world.sites[0]) == {"ada@example.org": ("", False)}
    await add(world, member)
    await world.decide(world.sites[1], "WITHDRAWN")
    assert (await told(world.sites[1]))["owner@example.org"] == ("", False)
    assert await told(world.sites[0]) == {"ada@example.org": ("", True)}
    ok(await world.owner.client.delete(world.url), 204)
    assert await told(world.sites[0]) == {"ada@example.org": ("", False), "owner@example.org": ("", False)}
    await patch(world, member, full_name="A Name That Is Nobody's Business There")
    assert await told(world.sites[0]) == {}


async def test_another_project_at_the_trust_keeps_the_user_enabled(world: World, member: Any) -> None:
    await add(world, member)
    await world.approved()
    other = World(world.owner, world.admin, world.sign_in_as, world.client, world.sites[:1], "")
    other.project_id = ok(await world.owner.client.post("/api/projects", json={"name": "Other"}), 201)["id"]
    await add(other, member)
    await other.approved()
    ok(await world.owner.client.delete(world.url), 204)
    assert await told(world.sites[0]) == {}
    assert set(await told(world.sites[1])) == {"ada@example.org", "owner@example.org"}


async def test_changes_while_a_task_is_under_way_follow_it(world: World) -> None:
    await world.approved()
    site = world.sites[0]
    await patch(world, world.owner, full_name="First")
    [(task, profile)] = await asked(site)
    assert profile.full_name == "First"
    for name in ("Second", "Third"):
        await patch(world, world.owner, full_name=name)
    assert await asked(site) == [], "two tasks about one user could end in the wrong order"
    ok(await site.side.answer(task, APPLIED), 204)
    ok(await site.side.answer(task, APPLIED), 204)
    assert await told(site) == {"owner@example.org": ("Third", True)}


async def test_a_failure_shows_to_an_admin_and_is_tried_again_when_asked(world: World) -> None:
    await world.approved()
    site = world.sites[0]
    await patch(world, world.owner, full_name="Olga")
    [(task, _)] = await asked(site)
    [seen, _] = await profiles(world, world.owner)
    assert (seen["trust"], seen["state"], seen["enabled"]) == ("Trust-A", "PENDING", True)
    await site.side.fail(task, "store_down")
    assert await told(site) == {}, "a failure is not repeated by itself"
    [seen, _] = await profiles(world, world.owner)
    assert (seen["state"], seen["error"]["code"]) == ("FAILED", "store_down")
    [event, *_] = await world.audit("user.profile")
    assert (event["actor"], event["entity_id"]) == ("trust:Trust-A", str(world.owner.user_id))
    assert event["after"]["error"]["code"] == "store_down"
    await patch(world, world.owner)
    assert await told(site) == {"owner@example.org": ("Olga", True)}
    [seen, _] = await profiles(world, world.owner)
    assert (seen["state"], seen["error"]) == ("APPLIED", None)


async def test_a_store_without_users_is_no_failure(world: World) -> None:
    await world.approved()
    await patch(world, world.owner, full_name="Olga")
    [(task, _)] = await asked(world.sites[0])
    none = UpdateUserProfileResult(applied=False, reason="FolderStore has no users")
    ok(await world.sites[0].side.answer(task, none), 204)
    [seen, _] = await profiles(world, world.owner)
    assert (seen["state"], seen["reason"]) == ("NOT_APPLIED", "FolderStore has no users")


async def test_a_disabled_trust_is_told_when_it_is_let_in_again(world: World) -> None:
    await world.approved()
    trust = f"/api/trusts/{world.sites[0].trust_id}"
    ok(await world.admin.client.patch(trust, json={"enabled": False}))
    await patch(world, world.owner, full_name="Olga")
    [seen, other] = await profiles(world, world.owner)
    assert (seen["state"], seen["error"]["code"], other["state"]) == ("FAILED", "trust_disabled", "PENDING")
    ok(await world.admin.client.patch(trust, json={"enabled": True}))
    assert await told(world.sites[0]) == {"owner@example.org": ("Olga", True)}


async def test_who_may_not(world: World, member: Any) -> None:
    await add(world, member)
    await world.approved()
    stranger = await world.sign_in_as(Role.RESEARCHER, email="stranger@example.org")
    for person in (world.owner, member, world.sites[0].owner):
        path = f"/api/users/{member.user_id}"
        problem(await person.client.patch(path, json={"full_name": "Mallory"}), 403, "forbidden")
        problem(await person.client.get(f"{path}/profiles"), 403, "forbidden")
    body = {"email": stranger.email}
    problem(await member.client.post(f"{world.url}/members", json=body), 403, "forbidden")
    problem(await stranger.client.post(f"{world.url}/members", json=body), 404, "not_found")
    assert [await told(site) for site in world.sites] == [{}, {}]


async def test_another_trust_cannot_answer(world: World) -> None:
    await world.approved()
    await patch(world, world.owner, full_name="Olga")
    [(task, _)] = await asked(world.sites[0])
    problem(await world.sites[1].side.answer(task, APPLIED), 403, "not_your_task")


async def test_nobody_has_no_profiles(world: World) -> None:
    problem(await world.admin.client.get(f"/api/users/{world.project_id}/profiles"), 404, "not_found")


async def test_many_changes_at_once_end_with_what_the_hub_has(world: World, member: Any) -> None:
    await world.staged()
    changes = [patch(world, world.owner, full_name=f"Name {number}") for number in range(4)]
    decisions = [world.decide(site, "APPROVED") for site in world.sites]
    await asyncio.gather(*changes, *decisions, add(world, member), patch(world, member, full_name="Ada"))
    name = ok(await world.admin.client.get(f"/api/users/{world.owner.user_id}"))["full_name"]
    for site in world.sites:
        assert await told(site) == {"owner@example.org": (name, True), "ada@example.org": ("Ada", True)}

"""Projects and members: who finds what, and the way from UNSTAGED to APPROVED and no other."""

from uuid import uuid4

import pytest
from hub_world import QUERY, Site, World, ok, problem

from flip_common.wire import Role, TaskType


async def test_a_project_is_made_changed_and_listed(world: World) -> None:
    project = await world.project()
    assert (project["name"], project["status"], project["trusts"]) == ("Brain", "UNSTAGED", [])
    changed = ok(await world.owner.client.patch(world.url, json={"description": "7 T"}))
    assert (changed["name"], changed["description"]) == ("Brain", "7 T")
    assert [p["id"] for p in ok(await world.owner.client.get("/api/projects"))] == [world.project_id]
    [entry] = await world.audit("project.change")
    assert entry["actor"] == "owner@example.org"
    assert (entry["before"], entry["after"]) == ({"description": "MR"}, {"description": "7 T"})


async def test_changing_nothing_leaves_no_audit_entry(world: World) -> None:
    ok(await world.owner.client.patch(world.url, json={"name": "Brain"}))
    assert await world.audit("project.change") == []


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "a\u0000b"}, {"name": "x", "owner": "me"}, {"name": "x" * 201}]
)
async def test_an_odd_project_is_refused(world: World, body: dict[str, str]) -> None:
    problem(await world.owner.client.post("/api/projects", json=body), 422, "invalid_request")


async def test_lists_are_paged_newest_first(world: World) -> None:
    for number in range(3):
        ok(await world.owner.client.post("/api/projects", json={"name": f"p{number}"}), 201)
    page = ok(await world.owner.client.get("/api/projects", params={"limit": 2, "offset": 1}))
    assert [project["name"] for project in page] == ["p1", "p0"]


async def test_members_come_and_go(world: World) -> None:
    member = await world.sign_in_as(Role.RESEARCHER, email="colleague@example.org")
    problem(await member.client.get(world.url), 404, "not_found")
    path = f"{world.url}/members"
    for _ in range(2):
        added = ok(await world.owner.client.post(path, json={"email": "Colleague@example.org"}), 201)
    assert [m["email"] for m in ok(await member.client.get(path))] == ["colleague@example.org"]
    assert ok(await member.client.get("/api/projects"))[0]["id"] == world.project_id
    ok(await world.owner.client.delete(f"{path}/{added['user_id']}"), 204)
    problem(await world.owner.client.delete(f"{path}/{added['user_id']}"), 404, "not_found")
    problem(await member.client.get(world.url), 404, "not_found")
    assert len(await world.audit("project.member.add")) == 1


async def test_who_cannot_be_a_member(world: World) -> None:
    path = f"{world.url}/members"
    problem(await world.owner.client.post(path, json={"email": "nobody@example.org"}), 422, "no_such_user")
    problem(await world.owner.client.post(path, json={"email": "owner@example.org"}), 409, "cannot_be_member")
    email = world.sites[0].owner.email
    problem(await world.owner.client.post(path, json={"email": email}), 409, "cannot_be_member")


async def test_staging_pins_the_query_and_shows_the_project_to_the_trusts(world: World) -> None:
    site = world.sites[0]
    problem(await site.owner.client.get(world.url), 404, "not_found")
    await world.staged()
    seen = ok(await site.owner.client.get(world.url))
    assert (seen["status"], seen["staged_query"]) == ("STAGED", QUERY)
    assert len(seen["staged_query_sha256"]) == 64
    assert [trust["trust"] for trust in seen["trusts"]] == ["Trust-A"], "a trust's owner sees that trust only"
    assert [trust["trust"] for trust in (await world.project())["trusts"]] == ["Trust-A", "Trust-B"]
    # Later queries do not touch what was staged.
    await world.ask(QUERY + " AND p.gender_concept_id = 8507")
    assert (await world.project())["staged_query"] == QUERY


async def test_staging_needs_answers(world: World) -> None:
    query_id = await world.ask(answer=False)
    await world.sites[0].work()
    stage = f"{world.url}/stage"
    both = {"query_id": query_id, "trust_ids": [site.trust_id for site in world.sites]}
    refused = problem(await world.owner.client.post(stage, json=both), 409, "no_answer")
    assert world.sites[1].trust_id in refused["detail"]
    staged = ok(await world.owner.client.post(stage, json={"query_id": query_id}))
    assert [trust["trust"] for trust in staged["trusts"]] == ["Trust-A"]


async def test_a_query_nobody_answered_or_of_another_project_cannot_be_staged(world: World) -> None:
    query_id = await world.ask(answer=False)
    stage = {"query_id": query_id}
    problem(await world.owner.client.post(f"{world.url}/stage", json=stage), 409, "no_answer")
    other = ok(await world.owner.client.post("/api/projects", json={"name": "other"}), 201)["id"]
    problem(await world.owner.client.post(f"/api/projects/{other}/stage", json=stage), 404, "not_found")
    unknown = {"query_id": str(uuid4())}
    problem(await world.owner.client.post(f"{world.url}/stage", json=unknown), 404, "not_found")


async def unstaged(world: World) -> None:
    await world.ask()


async def staged(world: World) -> None:
    await world.staged()


async def approved(world: World) -> None:
    await world.staged()
    await world.decide(world.sites[0], "APPROVED")


@pytest.mark.parametrize(
    ("before", "action", "code"),
    [
        (unstaged, "unstage", "not_staged"),
        (staged, "stage", "already_staged"),
        (approved, "stage", "already_staged"),
        (approved, "unstage", "already_approved"),
    ],
)
async def test_no_other_way_through_the_lifecycle(world: World, before, action, code) -> None:  # type: ignore[no-untyped-def]  # parametrised
    await before(world)
    status = (await world.project())["status"]
    body = {"query_id": world.query_id} if action == "stage" else None
    problem(await world.owner.client.post(f"{world.url}/{action}", json=body), 409, code)
    assert (await world.project())["status"] == status


async def test_unstaging_takes_the_project_back(world: World) -> None:
    await world.staged()
    await world.decide(world.sites[0], "REJECTED")
    back = ok(await world.owner.client.post(f"{world.url}/unstage"))
    assert (back["status"], back["staged_query"], back["trusts"]) == ("UNSTAGED", None, [])
    problem(await world.sites[0].owner.client.get(world.url), 404, "not_found")
    ok(await world.owner.client.post(f"{world.url}/stage", json={"query_id": world.query_id}))


async def test_deleting_removes_images_everywhere_and_keeps_the_audit(world: World) -> None:
    await world.approved()
    ok(await world.owner.client.delete(world.url), 204)
    problem(await world.owner.client.get(world.url), 404, "not_found")
    assert ok(await world.admin.client.get("/api/projects")) == []
    for site in world.sites:
        assert await site.work() == [TaskType.DELETE_IMAGING]
    [entry] = await world.audit("project.delete")
    assert entry["before"]["name"] == "Brain"
    assert len(await world.audit("project.decision")) == 2


async def test_a_disabled_trust_does_not_keep_a_project_from_being_deleted(world: World) -> None:
    await world.approved()
    site: Site = world.sites[0]
    ok(await world.admin.client.patch(f"/api/trusts/{site.trust_id}", json={"enabled": False}))
    ok(await world.owner.client.delete(world.url), 204)
    assert await world.sites[1].work() == [TaskType.DELETE_IMAGING]

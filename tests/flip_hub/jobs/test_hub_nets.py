"""Nets and their sites: keys pushed at once and again, nets shown as they are."""

import pytest
from fl_api_double import FlApi
from hub_world import FL_KEY, World, ok, problem, until

from flip_common.wire import Role
from flip_hub.jobs import watch
from flip_hub.state import Hub


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SITES_SECONDS", 0.05)


async def test_a_trusts_key_reaches_every_net_at_once(world: World, fl_api: FlApi) -> None:
    await world.give_fl_key(world.sites[0])
    assert fl_api.sites == {"Trust-A": FL_KEY.format("Trust-A")}


async def test_a_net_that_was_down_or_forgot_is_told_again(world: World, fl_api: FlApi) -> None:
    fl_api.down = True
    await world.give_fl_key(world.sites[0])
    assert fl_api.sites == {}
    fl_api.down = False

    async def told() -> bool:
        return fl_api.sites == {"Trust-A": FL_KEY.format("Trust-A")}

    await until(told)
    fl_api.sites.clear()
    await until(told)


async def test_a_disabled_trust_is_put_out_and_comes_back(world: World, fl_api: FlApi) -> None:
    await world.give_fl_key(world.sites[0])
    path = f"/api/trusts/{world.sites[0].trust_id}"
    for enabled in (False, True):
        ok(await world.admin.client.patch(path, json={"enabled": enabled}))

        async def as_it_should(wanted: bool = enabled) -> bool:
            return ("Trust-A" in fl_api.sites) is wanted

        await until(as_it_should)


async def test_a_key_that_a_net_refuses_is_refused_to_the_trust(
    world: World, fl_api: FlApi, caplog: pytest.LogCaptureFixture
) -> None:
    fl_api.refuse = "invalid_key"
    site = world.sites[0]
    body = {"public_key": "x" * 40}
    response = await world.client.put("/api/trust/fl-key", json=body, headers=site.side.headers)
    problem(response, 422, "fl_key_refused")

    async def logged() -> bool:
        return "refuses the key of Trust-A" in caplog.text

    await until(logged)


async def test_nets_are_shown_with_their_sites(world: World, fl_api: FlApi, hub: Hub) -> None:
    await world.give_fl_key(world.sites[0])
    [net] = ok(await world.owner.client.get("/api/nets"))
    assert (net["name"], net["backend"], net["reachable"]) == ("net1", "flower", True)
    assert [(site["trust"], site["online"]) for site in net["sites"]] == [("Trust-A", True)]
    fl_api.down = True
    [net] = ok(await world.admin.client.get("/api/nets"))
    assert (net["reachable"], net["sites"]) == (False, [])
    assert "out of order" in net["problem"]
    viewer = await world.sign_in_as(Role.VIEWER)
    problem(await viewer.client.get("/api/nets"), 403, "forbidden")

"""Who gets through the doors of a net, and who is a member of a job."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID

from flip_fl.flower import internals
from flip_fl.flower.superlink import FleetOnly, HubOnly


def test_members_are_those_of_the_roster() -> None:
    nodes = [
        SimpleNamespace(node_id=11, name="A", status="online"),
        SimpleNamespace(node_id=12, name="B", status="offline"),
        SimpleNamespace(node_id=13, name="C", status="online"),
        SimpleNamespace(node_id=14, name="A", status="unregistered"),
        SimpleNamespace(node_id=15, name="A", status="registered"),
    ]
    rosters = {"job": frozenset({"A", "B"})}
    manager = internals.make_federation_manager(rosters.get)
    manager.linkstate = SimpleNamespace(
        get_node_info=lambda node_ids: [node for node in nodes if node.node_id in node_ids]
    )
    everyone = {node.node_id for node in nodes} | {SUPERLINK_NODE_ID}
    assert manager.filter_nodes(everyone, "job") == {11, 12, SUPERLINK_NODE_ID}
    assert manager.filter_nodes({12, 13}, "other job") == set()
    assert manager.has_node(12, "job")
    assert not manager.has_node(13, "job")
    assert not manager.has_node(14, "job")
    assert (manager.exists("job"), manager.exists("default")) == (True, False)
    assert manager.has_member(NOOP_FLWR_AID, "job")
    assert not manager.has_member(NOOP_FLWR_AID, "default")
    assert manager.get_simulation_config("job") is None


async def _echo(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/fleet/pull-messages", 200),
        ("GET", "/v1/fleet/pull-messages", 404),
        ("POST", "/v1/fleet/pull%2Dmessages", 404),
        ("POST", "/v1/fleet/other", 404),
        ("POST", "/v1/control/list-runs", 404),
    ],
)
async def test_the_front_compares_the_wire(method: str, path: str, status: int) -> None:
    app = FleetOnly(_echo, frozenset({"/v1/fleet/pull-messages"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.request(method, path)).status_code == status
    sent: list[Any] = []
    await app({"type": "websocket", "path": path}, sent.append, sent.append)
    assert sent == []


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/control/list-runs", "right", 200),
        ("/v1/control/list-runs", "wrong", 404),
        ("/v1/control/list-runs", "", 404),
        ("/v1/runtime/acquire-task", "", 200),
        ("/v1/fleet/pull-messages", "right", 404),
        ("/docs", "right", 404),
        ("/v1/responses", "right", 404),
    ],
)
async def test_the_loopback_listener_asks_for_the_key(path: str, key: str, status: int) -> None:
    app = HubOnly(_echo, "right")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.post(path, headers={"x-flip-control-key": key})).status_code == status


def test_fleet_paths_are_those_a_supernode_needs() -> None:
    paths = internals.fleet_paths()
    assert "/v1/fleet/pull-messages" in paths
    assert "/v1/fleet/register-node" not in paths
    assert all(path.startswith("/v1/fleet/") for path in paths)

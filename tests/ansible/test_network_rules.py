"""Docker networks that are there are used or refused, never guessed about."""

from typing import Any

import pytest
from ansible_tree import python

rules = python("flip_networks", "module_utils/flip_network_rules.py")


def _network(**changed: Any) -> dict[str, Any]:
    config = [{"Subnet": "10.211.0.0/24", "Gateway": "10.211.0.1"}]
    standard = {"Name": "flip-out", "Driver": "bridge", "Internal": False, "IPAM": {"Config": config}, "Containers": {}}
    return standard | changed


def _entry(**changed: Any) -> dict[str, Any]:
    return {"name": "flip-out", "internal": False, "subnet": None} | changed


@pytest.mark.parametrize("subnet", [None, "10.211.0.0/24"])
def test_a_fitting_network_is_used(subnet: str | None) -> None:
    assert rules.difference(_entry(subnet=subnet), _network()) == ""


@pytest.mark.parametrize(
    ("entry", "network", "said"),
    [
        ({"internal": True}, {}, "its internal is false, not true"),
        ({}, {"Internal": True}, "its internal is true, not false"),
        ({"subnet": "10.0.0.0/24"}, {}, "its subnet is 10.211.0.0/24, not 10.0.0.0/24"),
        ({}, {"Driver": "overlay", "IPAM": {"Config": None}}, "its driver is overlay, not bridge"),
        ({"internal": True}, {"Driver": "macvlan"}, "its driver is macvlan, not bridge and its internal is false"),
    ],
)
def test_another_one_is_refused_with_what_differs(entry: dict[str, Any], network: dict[str, Any], said: str) -> None:
    text = rules.difference(_entry(**entry), _network(**network))
    assert said in text
    assert "docker network rm flip-out" in text


def test_who_uses_it_is_named() -> None:
    network = _network(Internal=True, Containers={"1": {"Name": "b"}, "2": {"Name": "a"}})
    assert "it is used by a, b: end them" in rules.difference(_entry(), network)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([_entry(), _entry()], "flip-out stands twice"),
        ([_entry(subnet="10.0.0.1/24")], "flip-out: '10.0.0.1/24' is no IPv4 subnet"),
        ([_entry(subnet="ten")], "flip-out: 'ten' is no IPv4 subnet"),
        (
            [_entry(subnet="10.0.0.0/24"), _entry(name="flip-x", subnet="10.0.0.128/25")],
            "flip-x: 10.0.0.128/25 overlaps the subnet of flip-out",
        ),
    ],
)
def test_a_wrong_list_is_refused(entries: list[dict[str, Any]], said: str) -> None:
    (text,) = rules.wrong_entries(entries)
    assert text.startswith(said)


def test_a_right_list_is_taken() -> None:
    entries = [_entry(subnet="10.0.0.0/24"), _entry(name="flip-x", subnet="10.0.1.0/24"), _entry(name="flip-y")]
    assert rules.wrong_entries(entries) == []

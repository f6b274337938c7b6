"""The firewall's filters and the program that keeps the addresses of names."""

import pytest
from ansible_tree import python

filters = python("flip_firewall", "filter_plugins/flip_firewall.py")
names = python("flip_firewall", "files/firewall_names.py")
DAY = 24 * 3600.0


def test_everything_that_may_be_reached_has_one_shape_and_stands_once() -> None:
    found = filters.targets(
        [{"to": "hub.test", "port": 443}], ["10.0.0.53"], ["10.0.0.1"], [{"to": "hub.test", "port": 443}]
    )
    assert found == [
        {"to": "hub.test", "port": 443, "protocol": "tcp"},
        {"to": "10.0.0.53", "port": 53, "protocol": "udp"},
        {"to": "10.0.0.53", "port": 53, "protocol": "tcp"},
        {"to": "10.0.0.1", "port": 123, "protocol": "udp"},
    ]


def test_elements_are_of_one_family_and_never_overlap() -> None:
    entries = [
        {"to": "10.0.0.0/8", "port": 443},
        {"to": "10.1.2.3", "port": 443},
        {"to": "10.1.2.3", "port": 104},
        {"to": "2001:db8::1", "port": 443, "protocol": "udp"},
        {"to": "hub.test", "port": 443},
    ]
    assert filters.elements(entries, 4) == ["10.0.0.0/8 . tcp . 443", "10.1.2.3/32 . tcp . 104"]
    assert filters.elements(entries, 6) == ["2001:db8::1/128 . udp . 443"]
    assert filters.names(entries) == [{"to": "hub.test", "port": 443}]


def test_networks_that_hold_one_another_are_one() -> None:
    assert filters.networks(["10.0.0.0/9", "10.128.0.0/9", "10.1.2.3", "::1"], 4) == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("address", "inside"),
    [("10.1.9.9", True), ("10.2.0.1", False), ("fe80::1%eth0", True), ("2001:db8::1", False)],
)
def test_it_is_known_whether_a_session_would_be_let_in(address: str, *, inside: bool) -> None:
    assert filters.covers(["10.1.0.0/16", "fe80::/10"], address) is inside


def test_names_where_only_networks_can_be_are_found() -> None:
    assert filters.not_networks(["10.1.0.0/16", "ward", "10.1.2.300"]) == ["ward", "10.1.2.300"]


def test_an_address_stays_a_day_after_it_was_last_seen() -> None:
    seen = names.remember(["hub.test"], {}, 0.0, lambda name: {"192.0.2.1"})
    seen = names.remember(["hub.test"], seen, DAY - 1, lambda name: {"192.0.2.2"})
    assert seen == {"hub.test": {"192.0.2.1": 0.0, "192.0.2.2": DAY - 1}}
    assert names.remember(["hub.test"], seen, DAY + 1, lambda name: set()) == {"hub.test": {"192.0.2.2": DAY - 1}}


def test_a_name_that_is_not_wanted_any_more_is_forgotten() -> None:
    assert names.remember([], {"hub.test": {"192.0.2.1": 0.0}}, 1.0) == {}


def test_both_sets_are_replaced_in_one_transaction() -> None:
    entries = [
        {"to": "hub.test", "port": 443, "protocol": "tcp"},
        {"to": "fl.test", "port": 9092, "protocol": "tcp"},
    ]
    seen = {"hub.test": {"192.0.2.1": 0.0, "2001:db8::1": 0.0}, "fl.test": {"192.0.2.1": 0.0}}
    assert names.commands(entries, seen).splitlines() == [
        "flush set inet flip named4",
        "add element inet flip named4 { 192.0.2.1 . tcp . 443, 192.0.2.1 . tcp . 9092 }",
        "flush set inet flip named6",
        "add element inet flip named6 { 2001:db8::1 . tcp . 443 }",
    ]


def test_a_name_without_address_leaves_an_empty_set() -> None:
    assert names.commands([{"to": "hub.test", "port": 443, "protocol": "tcp"}], {"hub.test": {}}).splitlines() == [
        "flush set inet flip named4",
        "flush set inet flip named6",
    ]

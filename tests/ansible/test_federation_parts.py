"""The parts of `make federation` that need no Docker: plan, router's rules, and how it reads what others say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_tree import ROOT, options, parsed
from federation import evidence, pacs, playbooks, proxy, router, sites
from federation.plan import (
    DOMAIN,
    FL_SERVER,
    HUB,
    HUB_NAME,
    INVENTORY,
    PACS_AE,
    PACS_PORT,
    PREMISES,
    PROXY_PORT,
    SITES,
    TRUSTS,
    Site,
)

every_trust = pytest.mark.parametrize("trust", TRUSTS, ids=lambda site: site.name)
OUTPUT = """
PLAY [Trust host] ****

TASK [flip_base : Packages are installed] ****
changed: [premises]
ok: [tre]

TASK [flip_base : Folder has its owner and mode] ****
changed: [premises] => (item=/opt/flip)
changed: [premises] => (item=/opt/flip/config)
changed: [tre -> localhost] => (item=/opt/flip)

RUNNING HANDLER [flip_docker : Engine runs with its options] ****
changed: [tre]

PLAY RECAP ****
premises                   : ok=51   changed=2    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0
tre                        : ok=50   changed=2    unreachable=0    failed=1    skipped=3    rescued=0    ignored=0
"""


def _count(packets: int = 0) -> router.Count:
    return router.Count(packets, 60 * packets)


def _clean() -> dict[str, router.Count]:
    counters = dict.fromkeys(re.findall(r"counter (\w+) \{", router.ruleset(TRUSTS)), _count())
    return counters | {f"{trust.name}_{port}": _count(3) for trust in TRUSTS for port in router.PORTS}


def _group(name: str) -> dict[str, Any]:
    content: dict[str, Any] = parsed(INVENTORY / "group_vars" / f"{name}.yml")
    return content


def _host(trust: Site) -> dict[str, Any]:
    content: dict[str, Any] = parsed(INVENTORY / "host_vars" / f"{trust.name}.yml")
    return content


def test_the_inventory_has_the_plans_hosts() -> None:
    hosts = parsed(INVENTORY / "hosts.yml")
    found = {name: host["ansible_host"] for group in hosts.values() for name, host in group["hosts"].items()}
    assert found == {site.name: site.container() for site in SITES}
    assert set(hosts["hub"]["hosts"]) == {HUB.name}


def test_the_hub_has_the_names_and_the_address_that_others_dial() -> None:
    hub = _group("hub")
    assert hub["flip_hub_names"] == [HUB_NAME, HUB.host]
    assert hub["flip_fl_server_names"] == [FL_SERVER.partition(":")[0]]
    assert hub["flip_firewall_dns"] == [HUB.dns]
    assert hub["flip_firewall_outbound"] == [{"to": HUB.packages, "port": 80}]
    trust = _group("trust")
    assert trust["flip_preflight_hub_url"] == f"https://{HUB_NAME}/api"
    assert trust["flip_preflight_fl_server"] == FL_SERVER


@every_trust
def test_a_trusts_addresses_are_the_plans(trust: Site) -> None:
    assert _host(trust)["federation_trust"] == trust.trust
    network = f"{_host(trust)['federation_network']}."
    text = (INVENTORY / "group_vars" / "trust.yml").read_text(encoding="utf-8")
    used = {network + last for last in re.findall(r"federation_network \}\}\.([0-9/]+)", text)}
    assert used == {trust.subnet, trust.dns, trust.packages, trust.pacs}
    text = (INVENTORY / "host_vars" / f"{trust.name}.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"10\.77\.\d+\.\d+", text)) == {trust.pacs}


@every_trust
def test_pacs_and_host_know_each_other(trust: Site) -> None:
    known = pacs.configuration(trust, "user", "password")
    assert known["DicomModalities"] == {"flip": [trust.staging_ae, trust.host, trust.staging_port]}
    assert (known["DicomAet"], known["DicomPort"]) == (PACS_AE, PACS_PORT)
    host = _host(trust)
    assert host[f"flip_{trust.store}_ae_title"] == trust.staging_ae
    asked = host[f"flip_{trust.store}_pacs"]
    pacs_there = {"ae_title": PACS_AE, "host": trust.pacs, "port": PACS_PORT}
    assert asked in (pacs_there, [{"name": "pacs", **pacs_there}])
    assert host["flip_firewall_inbound"] == [{"from": trust.pacs, "port": trust.staging_port}]


@every_trust
def test_a_trust_has_the_store_of_the_plan_and_the_port_that_its_role_opens(trust: Site) -> None:
    assert _host(trust)["flip_trust_imaging_store"] == trust.store
    known_options = options(ROOT / "ansible" / "roles" / f"flip_{trust.store}")
    assert known_options[f"flip_{trust.store}_dicom_port"]["default"] == trust.staging_port


def test_xnat_and_orthanc_are_both_there() -> None:
    assert {trust.store for trust in TRUSTS} == {"orthanc", "xnat"}


def test_sites_share_no_address() -> None:
    assert len({site.subnet for site in SITES}) == len(SITES)
    assert DOMAIN.endswith(".test")  # reserved: no such name can exist elsewhere


def test_only_trusts_begin_connections_and_only_to_the_two_endpoints() -> None:
    begun = [line for line in router.ruleset(TRUSTS).splitlines() if "ct state new" in line]
    allowed = {
        f"ip saddr {PREMISES.proxy if trust is PREMISES else trust.subnet} ip daddr {HUB.host} tcp dport {port} "
        f"ct state new counter name {trust.name}_{name} accept"
        for trust in TRUSTS
        for name, port in router.PORTS.items()
    }
    assert {line.strip() for line in begun} == allowed
    accepting = [line for line in router.ruleset(TRUSTS).splitlines() if line.endswith(" accept")]
    assert len(accepting) == len(allowed) + 2  # and standing connections, and the router's own loopback
    assert re.findall(r"policy (\w+);", router.ruleset(TRUSTS)) == ["drop", "drop"]


def test_every_counter_is_declared_once_and_used() -> None:
    text = router.ruleset(TRUSTS)
    declared = re.findall(r"counter (\w+) \{", text)
    assert len(declared) == len(set(declared))
    assert set(re.findall(r"counter name (\w+)", text)) == set(declared)


def test_where_a_proxy_is_the_way_out_the_host_is_given_that() -> None:
    for trust in TRUSTS:
        given = _host(trust).get("flip_preflight_proxy", "")
        assert (f"@{trust.proxy_name}:{PROXY_PORT}" in given) == trust.proxied


@pytest.mark.parametrize(
    ("log", "holds"),
    [
        (["200 POST https://hub.federation.test/api/trust/heartbeat", "200 CONNECT fl.federation.test:9092"], True),
        (["200 CONNECT hub.federation.test:443", "200 CONNECT fl.federation.test:9092"], False),  # not looked into
        (["200 POST https://hub.federation.test/api/trust/heartbeat", "407 CONNECT fl.federation.test:9092"], False),
    ],
)
def test_the_proxy_saw_both_ways(log: list[str], holds: bool) -> None:
    assert proxy.judged(PREMISES, log).holds is holds


def test_counters_and_flows_are_read() -> None:
    entry = {"family": "inet", "name": "tre_api", "table": "federation", "packets": 4, "bytes": 240}
    assert router.counts(json.dumps({"nftables": [{"metainfo": {}}, {"counter": entry}]})) == {
        "tre_api": router.Count(4, 240)
    }
    refused = {"set": {"name": "refused", "elem": [{"concat": ["10.77.1.10", "1.1.1.1", "tcp", 443]}]}}
    assert router.flows({"nftables": [{"metainfo": {}}, refused]}) == ["10.77.1.10 1.1.1.1 tcp 443"]
    assert router.flows({"nftables": [{"set": {"name": "refused"}}]}) == []


def test_a_recap_is_read() -> None:
    found = playbooks.recaps(OUTPUT)
    assert found == {"premises": playbooks.Recap(51, 2, 0, 0), "tre": playbooks.Recap(50, 2, 0, 1)}
    assert found["premises"].succeeded
    assert not found["tre"].succeeded


def test_changes_are_told_by_host_and_task() -> None:
    assert playbooks.changes(OUTPUT) == {
        "premises": ["flip_base : Packages are installed", "flip_base : Folder has its owner and mode"],
        "tre": ["flip_base : Folder has its owner and mode", "flip_docker : Engine runs with its options"],
    }


def test_a_failed_run_is_told_from_its_first_failure_on() -> None:
    output = "\n".join([*(f"ok {n}" for n in range(100)), "TASK [x]", "fatal: [tre]: FAILED! => why", "PLAY RECAP"])
    assert playbooks.ending(output).splitlines()[-2:] == ["fatal: [tre]: FAILED! => why", "PLAY RECAP"]
    assert len(playbooks.ending(output).splitlines()) == 5
    assert playbooks.ending("\n".join("abc"), lines=2) == "b\nc"


def test_evidence_holds_where_only_the_endpoints_were_reached() -> None:
    assert all(check.holds for check in evidence.reached(_clean(), TRUSTS, []))


@pytest.mark.parametrize(
    ("counter", "packets", "named"),
    [
        ("tre_api", 0, "Trust_2 reached the hub's two endpoints"),
        ("premises_fl", 0, "Trust_1 reached the hub's two endpoints"),
        ("premises_refused_out", 1, "no trust tried to reach anything else"),
        ("tre_refused_in", 1, "nothing tried to come in to a trust"),
        ("refused_here", 1, "nothing was sent to the router itself"),
    ],
)
def test_evidence_fails_by_name(counter: str, packets: int, named: str) -> None:
    found = evidence.reached(_clean() | {counter: _count(packets)}, TRUSTS, ["10.77.1.10 1.1.1.1 tcp 443"])
    (failed,) = [check for check in found if not check.holds]
    assert failed.name == named
    if "refused_out" in counter:
        assert "1.1.1.1" in failed.found


def test_a_second_run_that_changes_something_fails_and_names_the_task() -> None:
    recaps = {"tre": playbooks.Recap(50, 0, 0, 0), "premises": playbooks.Recap(50, 1, 0, 0)}
    again = playbooks.Played(recaps, 1.0, Path("log"), {"premises": ["flip_x : Y"]})
    steady, failed = evidence.unchanged({"trust": again})
    assert steady.holds
    assert not failed.holds
    assert "flip_x : Y" in failed.found


def test_without_a_check_nothing_has_passed() -> None:
    found = evidence.Evidence({})
    assert not found.passed
    found.checks = evidence.reached(_clean(), TRUSTS, [])
    assert found.passed
    assert json.loads(json.dumps(found.as_dict()))["passed"] is True


def test_a_host_that_holds_more_memory_than_promised_fails() -> None:
    assert evidence.small(TRUSTS[0], 1_500_000_000).holds
    assert not evidence.small(TRUSTS[0], 1_500_000_001).holds


def test_hosts_are_started_as_in_the_roles_own_tests() -> None:
    flags, command = sites.host_start(ROOT / "somewhere")
    assert f"--volume={ROOT}/somewhere:/srv/flip-images:ro" in flags
    assert "--cap-drop=SYS_TIME" in flags
    assert "exec /sbin/host-init" in command[-1]

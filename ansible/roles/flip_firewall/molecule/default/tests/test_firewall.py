"""What gets through and what does not, by connections that are really made."""

import json

import pytest
import testinfra

testinfra_hosts = ["trust"]
CONNECT = (
    "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); "
    "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); sys.exit(not s.recv(4).startswith(b'HTTP'))"
)


def reaches(machine, address, port, prefix=""):
    """Whether a program on the machine gets an HTTP answer."""
    return machine.run(f'{prefix}python3 -c "{CONNECT}" {address} {port}').rc == 0


@pytest.fixture(scope="module")
def outside():
    """The two hosts that are not the trust's."""
    return {name: testinfra.get_host(f"docker://flip-molecule-firewall-{name}") for name in ("hub", "other")}


def address_of(machine):
    """Where a host is reached."""
    return machine.interface("eth0").addresses[0]


IN_CONTAINER = "docker exec client "


@pytest.mark.parametrize("prefix", ["", IN_CONTAINER], ids=["host", "container"])
def test_only_the_hubs_endpoints_are_reached(host, outside, prefix):
    hub, other = address_of(outside["hub"]), address_of(outside["other"])
    assert reaches(host, hub, 443, prefix)
    assert reaches(host, hub, 9092, prefix), "the FL server is allowed by its name"
    for address, port in ((hub, 8443), (hub, 22), (other, 443), (other, 9092)):
        assert not reaches(host, address, port, prefix), f"{address}:{port}"


def test_a_refused_connection_ends_at_once(host, outside):
    """The program hears of it instead of waiting."""
    assert host.run(f"timeout 2 bash -c '</dev/tcp/{address_of(outside['other'])}/443'").rc == 1


def test_inbound_is_refused_but_for_what_the_site_opens(host, outside):
    me = address_of(host)
    assert reaches(outside["hub"], me, 22)
    assert reaches(outside["hub"], me, 11112), "a container's published port that the site opened"
    for name, port in (("hub", 443), ("hub", 9999), ("hub", 8080), ("other", 22), ("other", 11112), ("other", 8080)):
        assert not reaches(outside[name], me, port), f"{name} to {port}"


def test_containers_reach_one_another_but_not_the_host(host):
    server = host.run("docker inspect --format '{{.NetworkSettings.Networks.site.IPAddress}}' server").stdout.strip()
    gateway = host.run("docker inspect --format '{{.NetworkSettings.Networks.site.Gateway}}' server").stdout.strip()
    assert reaches(host, server, 80, IN_CONTAINER)
    assert reaches(host, "server", 80, IN_CONTAINER), "Docker's own DNS"
    assert reaches(host, server, 80), "the host checks its containers' health"
    assert not reaches(host, gateway, 9999, IN_CONTAINER)


def test_the_counters_are_evidence(host, outside):
    def packets(name):
        listed = json.loads(host.check_output(f"nft --json list counter inet flip {name}"))
        return next(entry["counter"]["packets"] for entry in listed["nftables"] if "counter" in entry)

    before = packets("inbound_refused"), packets("outbound_refused")
    reaches(outside["other"], address_of(host), 9999)
    reaches(host, address_of(outside["other"]), 443)
    assert packets("inbound_refused") > before[0]
    assert packets("outbound_refused") > before[1]


def test_docker_keeps_its_own_rules(host):
    assert "DOCKER" in host.check_output("iptables-save --table nat")
    assert host.check_output("nft list tables").count("table inet flip") == 1


def test_it_comes_back_at_boot_before_the_network(host):
    assert host.service("flip-firewall").is_enabled
    assert host.service("flip-firewall").is_running
    assert host.service("flip-firewall-names.timer").is_enabled
    assert host.service("flip-firewall-names.timer").is_running
    assert "network-pre.target" in host.check_output("systemctl show --value --property=Before flip-firewall")


def test_a_reload_keeps_a_running_connection_and_the_names(host, outside):
    hub = address_of(outside["hub"])
    hold = (
        "import socket, subprocess, sys; s = socket.create_connection((sys.argv[1], 9092), 3); "
        "subprocess.run(['systemctl', 'reload', 'flip-firewall'], check=True); "
        "s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); sys.exit(not s.recv(4).startswith(b'HTTP'))"
    )
    assert host.run(f'python3 -c "{hold}" {hub}').rc == 0
    host.check_output("systemctl start flip-firewall-names")
    assert hub in host.check_output("nft list set inet flip named4")

"""The host is a Swarm that nobody outside can speak to, with the network of its stacks."""

import json

testinfra_hosts = ["flip-molecule-swarm"]


def test_it_manages_itself(host):
    swarm = json.loads(host.check_output("docker info --format '{{json .Swarm}}'"))
    assert (swarm["LocalNodeState"], swarm["ControlAvailable"], swarm["Nodes"]) == ("active", True, 1)
    assert swarm["NodeAddr"] == "127.0.0.1"


def test_no_door_of_the_swarm_is_open(host):
    listening = {
        address for address in host.socket.get_listening_sockets() if address.rsplit(":", 1)[1] in {"2377", "7946"}
    }
    assert "tcp://127.0.0.1:2377" in listening
    assert {address.split("://")[1].rsplit(":", 1)[0] for address in listening} == {"127.0.0.1"}


def test_the_network_can_be_joined(host):
    network = json.loads(host.check_output("docker network inspect flip-xnat"))[0]
    assert (network["Driver"], network["Attachable"]) == ("overlay", True)
    assert [config["Subnet"] for config in network["IPAM"]["Config"]] == ["10.211.8.0/24"]

"""A Swarm that the operator had made is used as it is, and what he runs in it is not touched."""

import json

testinfra_hosts = ["flip-molecule-swarm-theirs"]


def test_nothing_of_the_operators_changed(host):
    assert host.check_output("/root/seen.sh") == host.file("/root/seen").content_string.strip()


def test_the_manager_listens_where_the_operator_put_it(host):
    address = json.loads(host.check_output("docker info --format '{{json .Swarm.NodeAddr}}'"))
    assert address == host.interface("eth0").addresses[0]
    assert host.socket("tcp://0.0.0.0:2377").is_listening or host.socket("tcp://:::2377").is_listening


def test_flips_network_is_there_beside_the_operators(host):
    network = json.loads(host.check_output("docker network inspect flip-xnat"))[0]
    assert (network["Driver"], network["Attachable"]) == ("overlay", True)
    assert [config["Subnet"] for config in network["IPAM"]["Config"]] == ["10.211.8.0/24"]
    host.check_output("docker run --rm --network flip-xnat operator true")

"""The networks are there, as they were wanted and no others."""

import json

testinfra_hosts = ["flip-molecule-networks"]


def network(host, name):
    return json.loads(host.check_output("docker network inspect %s", name))[0]


def test_the_internal_one_has_no_way_out(host):
    apps = network(host, "flip-apps")
    assert (apps["Driver"], apps["Internal"]) == ("bridge", True)


def test_the_other_one_has_its_subnet(host):
    out = network(host, "flip-out")
    assert (out["Driver"], out["Internal"]) == ("bridge", False)
    assert [config["Subnet"] for config in out["IPAM"]["Config"]] == ["10.211.0.0/24"]


def test_a_refused_list_made_nothing(host):
    names = host.check_output("docker network ls --format '{{.Name}}'").splitlines()
    assert sorted(names) == ["bridge", "flip-apps", "flip-out", "host", "none"]

"""XNAT runs as a stack on data of its own, and is set up so that nobody gets in by a known password."""

import json
import shlex

import pytest

ASK = """
import base64, json, sys, urllib.error, urllib.request
path, user, password = sys.argv[1:]
given = base64.b64encode(f"{user}:{password}".encode()).decode()
headers = {"Authorization": f"Basic {given}"} if user else {}
try:
    print(json.dumps([200, urllib.request.urlopen(
        urllib.request.Request("http://127.0.0.1:8090" + path, headers=headers), timeout=20).read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, ""]))
"""


def ask(host, path, user="", password=""):
    """Status and text."""
    return tuple(json.loads(host.check_output("python3 -c %s %s %s %s", ASK, path, user, password)))


def secret(host, name):
    """One of the host's own."""
    return host.file(f"/opt/flip/config/secrets/{name}").content_string.strip()


@pytest.fixture(scope="module")
def admin(host):
    """What admin gets to see, by path."""
    password = secret(host, "xnat_admin")

    def see(path):
        status, text = ask(host, path, "admin", password)
        assert status == 200, path
        return json.loads(text)

    return see


def service(host, name):
    """A service as the Swarm has it."""
    return json.loads(host.check_output("docker service inspect %s", f"flip-xnat_{name}"))[0]["Spec"]


def container(host, name):
    """Its container."""
    number = host.check_output("docker ps --quiet --filter label=com.docker.swarm.service.name=%s", f"flip-xnat_{name}")
    return json.loads(host.check_output("docker inspect %s", number))[0]


def test_no_known_password_opens_it(host):
    assert ask(host, "/xapi/siteConfig", "admin", "admin")[0] == 401
    assert ask(host, "/xapi/siteConfig")[0] == 401
    assert ask(host, "/xapi/siteConfig", "guest", "guest")[0] == 401
    assert ask(host, "/data/projects", "flip-imaging", secret(host, "xnat_imaging"))[0] == 200


def test_guest_is_shut_out_and_flips_user_has_its_roles(admin):
    assert admin("/xapi/users/guest")["enabled"] is False
    assert {"Administrator", "Dqr"} <= set(admin("/xapi/users/flip-imaging/roles"))


def test_the_site_is_set_up(admin):
    site = admin("/xapi/siteConfig")
    assert (site["initialized"], site["siteId"], site["requireLogin"]) == (True, "FLIP", True)


def test_the_plugin_asks_the_hospitals_pacs_for_flip_alone(admin):
    plugin = admin("/xapi/dqr/settings")
    assert (plugin["allowAllUsersToUseDqr"], plugin["dqrCallingAe"]) == ("false", "XNAT")
    pacs = admin("/xapi/pacs")
    assert [(item["aeTitle"], item["host"], item["queryRetrievePort"]) for item in pacs] == [
        ("HOSPITAL", "hospital", 4242)
    ]
    receivers = admin("/xapi/dicomscp")
    assert [(item["port"], item["identifier"]) for item in receivers] == [(8104, "dqrObjectIdentifier")]


def test_what_came_in_is_anonymised(host, admin):
    assert admin("/xapi/anonymize/site/enabled") is True
    found = host.check_output("grep -rlE 'DOE|Elsewhere' /opt/flip/data/xnat/web/archive || echo none")
    assert found == "none"
    assert host.check_output("find /opt/flip/data/xnat/web/archive -name '*.dcm' | wc -l") == "3"


@pytest.mark.parametrize(("name", "user"), [("xnat-web", "10004:10004"), ("xnat-db", "10002:10002")])
def test_containers_may_little(host, name, user):
    shown = container(host, name)
    assert shown["HostConfig"]["ReadonlyRootfs"]
    assert shown["HostConfig"]["CapDrop"] in (["ALL"], ["all"])
    assert shown["Config"]["User"] == user
    # Asked by the check itself: the engine's own first look is a whole interval away.
    check = shown["Config"]["Healthcheck"]["Test"][1:]
    assert host.run(f"docker exec {shown['Id']} {shlex.join(check)}").rc == 0


def test_names_lead_to_containers_and_ports_are_the_hosts(host):
    for name in ("xnat-web", "xnat-db"):
        assert service(host, name)["EndpointSpec"]["Mode"] == "dnsrr"
    ports = service(host, "xnat-web")["EndpointSpec"]["Ports"]
    assert {(port["TargetPort"], port["PublishedPort"], port["PublishMode"]) for port in ports} == {
        (8080, 8090, "host"),
        (8104, 8104, "host"),
    }
    assert "Ports" not in service(host, "xnat-db")["EndpointSpec"]


def test_passwords_are_secrets(host):
    for path in ("password", "xnat-conf.properties"):
        file = host.file(f"/opt/flip/config/xnat/{path}")
        assert (file.uid, file.mode) == (0, 0o600)
    password = secret(host, "xnat_database")
    for name in ("xnat-web", "xnat-db"):
        assert password not in json.dumps(container(host, name))
        assert password not in json.dumps(service(host, name))
    assert password not in host.file("/opt/flip/config/xnat/stack.yml").content_string
    listed = host.check_output("docker secret ls --quiet").split()
    assert len(listed) == 2, "those that nothing uses any more are gone"


def test_data_are_the_containers_own(host):
    for folder, user in (("database", 10002), ("web", 10004)):
        found = host.file(f"/opt/flip/data/xnat/{folder}")
        assert (found.uid, found.mode) == (user, 0o700)


def test_it_starts_at_boot(host):
    assert host.service("flip-xnat").is_enabled
    assert host.service("flip-xnat").is_running


def test_no_registry_was_asked_for_images_that_are_here(host):
    assert host.run("journalctl --unit docker --no-pager --output cat --grep 'registry|pulling image'").stdout == ""

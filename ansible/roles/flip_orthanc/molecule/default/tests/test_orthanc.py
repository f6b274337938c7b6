"""The staging PACS takes studies from those it knows, and nothing from others."""

import base64
import json

import pytest

CONTAINER = "flip-orthanc-orthanc-1"
ASK = """
import json, sys, urllib.error, urllib.request
url, auth, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Authorization": auth} if auth else {})
try:
    print(json.dumps([200, json.load(urllib.request.urlopen(request, timeout=20))]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, None]))
"""


def address(host, container, network="flip-out"):
    """Where a container is reached from the host."""
    return json.loads(host.check_output(f"docker inspect {container}"))[0]["NetworkSettings"]["Networks"][network][
        "IPAddress"
    ]


def ask(host, container, path, body="", auth=""):
    """Status and answer of a REST API."""
    url = f"http://{address(host, container)}:8042{path}"
    return tuple(json.loads(host.check_output("python3 -c %s %s %s %s", ASK, url, auth, body)))


def send(host, container):
    """Status of sending a new study to the staging PACS."""
    tags = {"PatientID": container, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}
    made = ask(host, container, "/tools/create-dicom", json.dumps({"Tags": tags}))[1]
    return ask(host, container, "/modalities/flip/store", json.dumps({"Resources": [made["ID"]]}))[0]


@pytest.fixture(scope="module")
def auth(host):
    """The right header."""
    password = host.file("/opt/flip/config/secrets/orthanc_password").content_string.strip()
    return f"Basic {base64.b64encode(f'flip:{password}'.encode()).decode()}"


def test_only_the_password_opens_the_rest_api(host, auth):
    assert ask(host, CONTAINER, "/statistics", auth=auth)[0] == 200
    assert ask(host, CONTAINER, "/statistics")[0] == 401


def test_the_hospitals_pacs_tests_and_sends_through_the_hosts_port(host, auth):
    before = ask(host, CONTAINER, "/statistics", auth=auth)[1]["CountStudies"]
    assert ask(host, "hospital", "/modalities/flip/echo", "{}")[0] == 200
    assert send(host, "hospital") == 200
    assert ask(host, CONTAINER, "/statistics", auth=auth)[1]["CountStudies"] == before + 1


def test_the_hospitals_pacs_may_not_query(host):
    assert ask(host, "hospital", "/modalities/flip/query", '{"Level": "Study", "Query": {}}')[0] == 500


def test_a_stranger_may_nothing(host, auth):
    before = ask(host, CONTAINER, "/statistics", auth=auth)[1]["CountInstances"]
    assert ask(host, "stranger", "/modalities/flip/echo", "{}")[0] == 500
    assert send(host, "stranger") == 500
    assert ask(host, CONTAINER, "/statistics", auth=auth)[1]["CountInstances"] == before


def test_it_reaches_the_hospitals_pacs_by_its_name(host, auth):
    assert ask(host, CONTAINER, "/modalities/pacs/echo", "{}", auth)[0] == 200


def test_only_the_dicom_port_is_published(host):
    shown = json.loads(host.check_output(f"docker inspect {CONTAINER}"))[0]
    assert {bound["HostPort"] for bound in shown["NetworkSettings"]["Ports"]["4242/tcp"]} == {"10104"}
    assert not shown["NetworkSettings"]["Ports"]["8042/tcp"]
    assert set(shown["NetworkSettings"]["Networks"]) == {"flip-data", "flip-out"}
    assert shown["HostConfig"]["ReadonlyRootfs"]


def test_settings_and_data_are_its_own(host):
    settings = host.file("/opt/flip/config/orthanc/orthanc/orthanc.json")
    assert (settings.uid, settings.mode) == (10003, 0o400)
    folder = host.file("/opt/flip/data/orthanc")
    assert (folder.uid, folder.mode) == (10003, 0o700)
    assert not host.file("/opt/flip/config/orthanc/orthanc/dicom.key").exists, "TLS was switched off again"


def test_it_starts_at_boot(host):
    host.check_output("systemctl start flip-orthanc")  # returns when it has come up
    assert host.service("flip-orthanc").is_enabled
    assert host.service("flip-orthanc").is_running

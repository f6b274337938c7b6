"""The built images at work, as on a host: a hub on its database, a trust's services, an FL client that connects.

Needs Docker: run by `make hosts`. Every container is read-only and has no rights, and the network leads nowhere else.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydicom.data import get_testdata_file

from flip_common.keys import generate_api_key, hash_api_key
from flip_fl.certs import CertificateFiles, make_net_certificates

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3000)]

TRUST = "Trust_1"
ADMIN, PASSWORD = "admin@hub.example", "correct horse battery staple"
OWNER_PASSWORD = "an-owners-password-of-a-test"
PSQL = ("env", f"PGPASSWORD={OWNER_PASSWORD}", "psql", "-q", "-h", "127.0.0.1", "-U", "flip_owner", "-d")
CDM = """
CREATE SCHEMA omop;
CREATE TABLE omop.person (person_id bigint PRIMARY KEY, gender_concept_id integer, year_of_birth integer);
INSERT INTO omop.person SELECT n, 8507 + 25 * (n % 2), 1950 + n % 50 FROM generate_series(1, 200) AS n;
"""


def env(**settings: object) -> dict[str, str]:
    """The one env file of a service."""
    return {"service.env": "".join(f"{name}={value}\n" for name, value in settings.items())}


def until(what: str, look: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.3)
    return seen


@dataclass
class Hub:
    """A hub and an FL server that run, and an administrator's client."""

    database: Any
    hub: Any
    fl_server: Any
    admin: httpx.Client
    certificates: CertificateFiles


@pytest.fixture(scope="module")
def hub(world: Any) -> Iterator[Hub]:
    certificates = make_net_certificates(world.folder / "certificates", ["hub", "fl-server"])
    ca, cert, key = (path.read_bytes() for path in (certificates.ca, certificates.cert, certificates.key))
    internal, fl_key = generate_api_key(), generate_api_key()
    config = {"password": f"{OWNER_PASSWORD}\n"}
    database = world.run("hub-db", "omop-db", config, "--database", "flip_hub")
    container = world.run(
        "hub",
        "hub",
        env(
            HUB_DATA_DIR="/data",
            DATABASE_URL=f"postgresql://flip_owner:{OWNER_PASSWORD}@hub-db:5432/flip_hub",
            INTERNAL_SERVICE_KEY_HASH=hash_api_key(internal),
            FL_API_KEY=fl_key,
            FL_NETS=json.dumps([{"name": "net1", "backend": "flower", "url": "http://fl-server:8040"}]),
        )
        | {"server.crt": cert, "server.key": key},
        *("serve", "--host", "0.0.0.0", "--internal-host", "0.0.0.0", "--env-file", "/config/service.env"),
        *("--tls-cert", "/config/server.crt", "--tls-key", "/config/server.key"),
    )
    fl_server = world.run(
        "fl-server",
        "fl-server",
        env(
            FL_API_KEY=fl_key,
            FL_STATE_DIR="/data/fl",
            FL_SERVER_HOST="0.0.0.0",
            FL_SERVER_PORT=9092,
            FL_SERVER_CERT_FILE="/config/server.crt",
            FL_SERVER_KEY_FILE="/config/server.key",
            FLIP_API_INTERNAL_URL="http://hub:8050/api/internal",
            INTERNAL_SERVICE_KEY=internal,
        )
        | {"server.crt": cert, "server.key": key, "ca.pem": ca},
    )
    create = ("python", "-m", "flip_hub", "create-admin", "--email", ADMIN, "--env-file", "/config/service.env")
    container.exec(*create, feed=f"{PASSWORD}\n")
    # The certificate is for the name `hub`, which only containers know.
    with httpx.Client(
        base_url=f"https://{container.address}:8000/api", verify=False, trust_env=False, timeout=60
    ) as client:
        answer = client.post("/auth/sign-in", json={"email": ADMIN, "password": PASSWORD}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield Hub(database, container, fl_server, client, certificates)


@dataclass
class Trust:
    """A trust's containers."""

    data_access: Any
    imaging: Any
    orthanc: Any
    fl_client: Any
    trust_api: Any
    internal_key: str


@pytest.fixture(scope="module")
def trust(world: Any, hub: Hub) -> Trust:
    keys = {name: generate_api_key() for name in ("TRUST_INTERNAL_SERVICE_KEY", "TRUST_APP_SERVICE_KEY")}
    database = world.run("omop-db", "omop-db", {"password": f"{OWNER_PASSWORD}\n"})
    database.exec(*PSQL, "omop", "-v", "ON_ERROR_STOP=1", feed=CDM)
    owner = f"postgresql://flip_owner:{OWNER_PASSWORD}@omop-db:5432/omop"
    reader = f"postgresql://omop_reader:{secrets.token_urlsafe(20)}@omop-db:5432/omop"
    urls = {"DATA_ACCESS_DATABASE_URL": reader, "DATA_ACCESS_OWNER_DATABASE_URL": owner}
    data_access = world.run("data-access-api", "data-access-api", env(**urls, COHORT_QUERY_SECONDS=0, **keys))
    data_access.exec("python", "-m", "flip_trust.data_access", "prepare-database", "--env-file", "/config/service.env")
    orthanc = world.run("orthanc", "orthanc", {"orthanc.json": json.dumps(ORTHANC)})
    imaging = world.run(
        "imaging-api",
        "imaging-api",
        env(
            IMAGING_DATA_DIR="/data",
            IMAGING_STORE="orthanc",
            ORTHANC_URL="http://orthanc:8042",
            ORTHANC_USERNAME="svc",
            ORTHANC_PASSWORD=ORTHANC["RegisteredUsers"]["svc"],
            ORTHANC_PACS="pacs",
            ORTHANC_AE_TITLE="STAGING",
            **keys,
        ),
    )
    inside = {"DATA_ACCESS_API_URL": "http://data-access-api:8010", "IMAGING_API_URL": "http://imaging-api:8001"}
    fl_client = world.run(
        "fl-client",
        "fl-client",
        env(
            SUPERNODE_NAME=TRUST,
            FL_SERVER_ADDRESS="fl-server:9092",
            FL_SERVER_CA_FILE="/config/ca.pem",
            FL_SITE_DIR="/data/fl",
            IMAGES_DIR="/data/images",
            TRUST_APP_SERVICE_KEY=keys["TRUST_APP_SERVICE_KEY"],
            **inside,
        )
        | {"ca.pem": hub.certificates.ca.read_bytes()},
    )
    public = fl_client.exec("cat", "/data/fl/site.key.pub").stdout
    kit = hub.admin.post("/trusts", json={"name": TRUST}).raise_for_status().json()
    trust_api = world.run(
        "trust-api",
        "trust-api",
        env(
            CENTRAL_HUB_API_URL="https://hub:8000/api",
            HUB_CA_FILE="/config/ca.pem",
            TRUST_API_KEY=kit["api_key"],
            AES_KEY_BASE64=kit["aes_key_base64"],
            EXPECTED_TRUST_ID=kit["trust_id"],
            FL_PUBLIC_KEY_FILE="/config/site.key.pub",
            TRUST_INTERNAL_SERVICE_KEY=keys["TRUST_INTERNAL_SERVICE_KEY"],
            HEARTBEAT_INTERVAL_SECONDS=5,
            **inside,
        )
        | {"ca.pem": hub.certificates.ca.read_bytes(), "site.key.pub": public},
    )
    return Trust(data_access, imaging, orthanc, fl_client, trust_api, keys["TRUST_INTERNAL_SERVICE_KEY"])


ORTHANC: dict[str, Any] = {
    "Name": "STAGING",
    "StorageDirectory": "/data",
    "IndexDirectory": "/data",
    "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
    "HttpPort": 8042,
    "DicomPort": 4242,
    "DicomAet": "STAGING",
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": True,
    "RegisteredUsers": {"svc": secrets.token_urlsafe(16)},
    "HttpCompressionEnabled": False,
}


def test_the_hub_keeps_its_data_in_the_database_image(hub: Hub) -> None:
    trusts = hub.admin.get("/trusts").raise_for_status()
    assert isinstance(trusts.json(), list)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert int(hub.database.exec(*PSQL, "flip_hub", "-Atc", tables).stdout) > 5


def test_the_database_lets_nobody_in_without_the_password(hub: Hub) -> None:
    for where in ("127.0.0.1", "/tmp"):
        done = hub.database.exec(
            *("env", "PGPASSWORD=wrong", "psql", "-h", where, "-U", "flip_owner", "-d", "flip_hub", "-Atc", "SELECT 1"),
            check=False,
        )
        assert "password authentication failed" in done.stderr


def test_the_hub_sees_the_trust_and_its_fl_client(hub: Hub, trust: Trust) -> None:
    def both() -> bool:
        online = {one["name"] for one in hub.admin.get("/trusts").json() if one["online"]}
        sites = {site["trust"] for net in hub.admin.get("/nets").json() for site in net["sites"] if site["online"]}
        return TRUST in online & sites

    until("trust and FL client are online at the hub", both)


def test_data_access_answers_from_the_omop_image(trust: Trust) -> None:
    body = {"query_id": str(uuid4()), "project_id": str(uuid4()), "query": "SELECT person_id FROM omop.person"}
    url = f"http://{trust.data_access.address}:8010/cohort/statistics"
    headers = {"X-Trust-Internal-Service-Key": trust.internal_key}
    answer = httpx.post(url, json=body, headers=headers, trust_env=False, timeout=60).raise_for_status().json()
    assert answer["subjects"]["value"] == 200
    assert httpx.post(url, json=body, trust_env=False, timeout=60).status_code == 401


def test_orthanc_takes_a_study_and_gives_it_by_dicomweb(trust: Trust) -> None:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    auth = ("svc", ORTHANC["RegisteredUsers"]["svc"])
    with httpx.Client(
        base_url=f"http://{trust.orthanc.address}:8042", auth=auth, trust_env=False, timeout=60
    ) as client:
        client.post("/instances", content=Path(path).read_bytes()).raise_for_status()
        studies = client.get("/dicom-web/studies").raise_for_status().json()
        assert len(studies) == 1
    assert httpx.get(f"http://{trust.orthanc.address}:8042/system", trust_env=False, timeout=60).status_code == 401


def test_imaging_carries_its_converter_and_answers_to_its_key_only(trust: Trust) -> None:
    assert "v1.0." in trust.imaging.exec("dcm2niix", "--version", check=False).stdout
    headers = {"X-Trust-Internal-Service-Key": trust.internal_key}
    url = f"http://{trust.imaging.address}:8001/imports/{uuid4()}"
    assert httpx.get(url, headers=headers, trust_env=False, timeout=60).raise_for_status().json()["studies"] == []
    assert httpx.get(url, trust_env=False, timeout=60).status_code == 401


def test_every_container_is_read_only_and_its_user_s_own(hub: Hub, trust: Trust) -> None:
    for container in vars(hub).values():
        if hasattr(container, "exec"):
            _closed(container)
    for container in vars(trust).values():
        if hasattr(container, "exec"):
            _closed(container)


def _closed(container: Any) -> None:
    writing = "import pathlib; pathlib.Path('/{}/written').write_text('x')"
    for place, status in (("etc", 1), ("opt", 1), ("usr/bin", 1), ("data", 0), ("tmp", 0)):
        done = container.exec("python3", "-c", writing.format(place), check=False)
        assert done.returncode == status, f"{container.name} /{place}: {done.stderr}"
    status = container.exec("cat", "/proc/1/status").stdout
    assert "\nCapEff:\t0000000000000000\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    assert "\nUid:\t0\t" not in status


def test_docker_itself_finds_them_healthy(hub: Hub, trust: Trust) -> None:
    for container in [*vars(hub).values(), *vars(trust).values()]:
        if hasattr(container, "inspect"):
            container.wait(
                lambda c=container: c.inspect("{{.State.Health.Status}}") == "healthy", "docker says healthy"
            )


def test_a_service_that_is_gone_is_unhealthy(trust: Trust) -> None:
    assert trust.imaging.exec("flip-health", "http://127.0.0.1:8999/health", check=False).returncode == 1
    assert trust.fl_client.exec("flip-health", "--process", "flip_fl.flower.superlink", check=False).returncode == 1


def test_what_is_stored_is_there_after_a_restart(hub: Hub, trust: Trust) -> None:
    """Stopped by SIGTERM within its grace, started over the same data."""
    for container in (hub.database, hub.hub):
        container.restart()
        container.wait_healthy()
    names = [one["name"] for one in hub.admin.get("/trusts").raise_for_status().json()]
    assert names == [TRUST]

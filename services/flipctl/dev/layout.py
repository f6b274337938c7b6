"""What a development federation consists of: parts, and for each its Compose project and its services' settings.

Nothing here runs anything. Names of services are their names on the network.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from flip_common.keys import hash_api_key

HUB = "hub"
TRUSTS = ("Trust_1", "Trust_2")
PARTS = (HUB, *TRUSTS)
SHARED_NETWORK = "flipdev"
HUB_PORT, DEBUG_PORT = 8000, 5678
PACS_AE, PACS_PORT, OWN_PORT = "PACS", 4242, 11112
NET = "net1"
CERTIFICATE_NAMES = ("hub", "fl-server")
# Services that are Python of this repository: module and arguments, as their images start them.
_ENV_FILE = ("--env-file", "/config/service.env")
_ANYWHERE = ("--host", "0.0.0.0", *_ENV_FILE)  # noqa: S104 - within a container
_TLS = ("--tls-cert", "/config/server.crt", "--tls-key", "/config/server.key")
PROGRAMS = {
    "hub": ("flip_hub", "serve", "--internal-host", "0.0.0.0", *_ANYWHERE, *_TLS),  # noqa: S104 - as above
    "fl-server": ("flip_fl", *_ANYWHERE),
    "data-access-api": ("flip_trust.data_access", *_ANYWHERE),
    "imaging-api": ("flip_trust.imaging", *_ANYWHERE),
    "trust-api": ("flip_trust.api", *_ANYWHERE),
    "fl-client": ("flip_fl.flower.site", *_ENV_FILE),
}


@dataclass(frozen=True)
class Plan:
    """What all projects are made from."""

    folder: Path
    """Where configuration lies: `folder/PART/SERVICE/NAME`."""
    dicom: Path
    """A folder of DICOM files for each trust."""
    release: str
    secrets: Mapping[str, str]
    debugged: Mapping[str, int]
    """Services that wait for a debugger, as PART/SERVICE, and the port of this machine each listens on."""
    code: Path
    debugpy: Path


def project(part: str) -> str:
    """The name of a part's Compose project."""
    return f"flipdev-{part.lower()}"


def services(part: str) -> tuple[str, ...]:
    """Services of a part that are this repository's own code."""
    at_hub = ("hub", "fl-server")
    return at_hub if part == HUB else tuple(name for name in PROGRAMS if name not in at_hub)


def compose(part: str, plan: Plan) -> dict[str, Any]:
    """A part's Compose file."""
    made = _hub(plan) if part == HUB else _trust(part, plan)
    for name, values in settings(part, plan).items():
        # Docker does not look into mounted files: other settings are another container by this.
        made[name]["labels"] = {"flip.dev.settings": sha256(json.dumps(values).encode()).hexdigest()}
    for name, service in made.items():
        service.setdefault("volumes", []).insert(0, f"{plan.folder / part / name}:/config:ro")
        service |= {"init": True, "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"]}  # noqa: S108 - in memory
        service["security_opt"] = ["no-new-privileges"]
        if (port := plan.debugged.get(f"{part}/{name}")) is not None:
            _wait_for_debugger(name, service, port, plan)
    own: dict[str, dict[str, Any]] = {f"{name}-data": {} for name in made if name != "pacs"}
    return {
        "name": project(part),
        "services": made,
        "volumes": own,
        "networks": {"default": {"name": project(part)}, "shared": {"name": SHARED_NETWORK, "external": True}},
    }


def _hub(plan: Plan) -> dict[str, dict[str, Any]]:
    return {
        "hub-db": _service("omop-db", plan, "hub-db", command=["--database", "flip_hub"]),
        "hub": _service(
            "hub",
            plan,
            "hub",
            command=list(PROGRAMS["hub"][1:]),
            networks=["default", "shared"],
            ports=[f"127.0.0.1:{HUB_PORT}:8000"],
            depends_on={"hub-db": {"condition": "service_healthy"}},
        ),
        "fl-server": _service("fl-server", plan, "fl-server", networks=["default", "shared"]),
    }


def _trust(part: str, plan: Plan) -> dict[str, dict[str, Any]]:
    shared = ["default", "shared"]
    pacs = [
        *("--aet", PACS_AE, "--host", "0.0.0.0", "--port", str(PACS_PORT), "--folder", "/dicom"),  # noqa: S104
        *("--peer", f"{own_title(part)}=imaging-api:{OWN_PORT}"),
    ]
    return {
        "omop-db": _service("omop-db", plan, "omop-db", ports=["127.0.0.1::5432"]),
        "pacs": {
            "image": f"flip/imaging-api:{plan.release}",
            "entrypoint": ["python", "-m", "flipctl.pacs"],
            "command": pacs,
            "healthcheck": {"test": ["CMD", "flip-health", "--process", "flipctl.pacs"]},
            "volumes": [f"{plan.dicom / part}:/dicom:ro"],
        },
        "data-access-api": _service("data-access-api", plan, "data-access-api"),
        "imaging-api": _service("imaging-api", plan, "imaging-api"),
        "fl-client": _service("fl-client", plan, "fl-client", networks=shared),
        "trust-api": _service(
            "trust-api", plan, "trust-api", networks=shared, volumes=["trust-api-data:/data", "fl-client-data:/fl:ro"]
        ),
    }


def _service(image: str, plan: Plan, name: str, **more: Any) -> dict[str, Any]:
    return {"image": f"flip/{image}:{plan.release}", "volumes": [f"{name}-data:/data"], **more}


def _wait_for_debugger(name: str, service: dict[str, Any], port: int, plan: Plan) -> None:
    """The code of the checkout instead of the image's, stopped before its first line until a debugger attaches."""
    listen = ["--listen", f"0.0.0.0:{DEBUG_PORT}", "--wait-for-client"]
    service["entrypoint"] = ["python", "-Xfrozen_modules=off", "-m", "debugpy", *listen, "-m", PROGRAMS[name][0]]
    service["command"] = list(PROGRAMS[name][1:])
    service["environment"] = {"PYTHONPATH": "/code:/debugger"}
    service["ports"] = [*service.get("ports", []), f"127.0.0.1:{port}:{DEBUG_PORT}"]
    service["volumes"] += [f"{plan.code}:/code:ro", f"{plan.debugpy}:/debugger/debugpy:ro"]
    service["healthcheck"] = {"disable": True}  # it stands still for as long as its debugger wants


def own_title(part: str) -> str:
    """The AE title of a trust's imaging-api."""
    return f"{part.upper()[:11]}_IMG"


def settings(part: str, plan: Plan) -> dict[str, dict[str, Any]]:
    """Settings of each service, as its env file has them."""
    return _hub_settings(plan) if part == HUB else _trust_settings(part, plan.secrets)


def _hub_settings(plan: Plan) -> dict[str, dict[str, Any]]:
    secrets = plan.secrets
    net = {"name": NET, "backend": "flower", "url": "http://fl-server:8040"}
    return {
        "hub": {
            "HUB_DATA_DIR": "/data",
            "DATABASE_URL": f"postgresql://flip_owner:{secrets['DATABASE_PASSWORD']}@hub-db:5432/flip_hub",
            "INTERNAL_SERVICE_KEY_HASH": hash_api_key(secrets["INTERNAL_SERVICE_KEY"]),
            "FL_NETS": json.dumps([net]),
            "FL_API_KEY": secrets["FL_API_KEY"],
        },
        "fl-server": {
            "FL_API_KEY": secrets["FL_API_KEY"],
            "FL_STATE_DIR": "/data/fl",
            "FL_SERVER_HOST": "0.0.0.0",  # noqa: S104 - within a container
            "FL_SERVER_PORT": 9092,
            "FL_SERVER_CERT_FILE": "/config/server.crt",
            "FL_SERVER_KEY_FILE": "/config/server.key",
            "FLIP_API_INTERNAL_URL": "http://hub:8050/api/internal",
            "INTERNAL_SERVICE_KEY": secrets["INTERNAL_SERVICE_KEY"],
        },
    }


def _trust_settings(part: str, secrets: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    prefix = prefix_of(part)
    mine = {name.removeprefix(prefix): value for name, value in secrets.items() if name.startswith(prefix)}
    internal = {"TRUST_INTERNAL_SERVICE_KEY": mine["TRUST_INTERNAL_SERVICE_KEY"]}
    apps = {"TRUST_APP_SERVICE_KEY": mine["TRUST_APP_SERVICE_KEY"]}
    urls = {"DATA_ACCESS_API_URL": "http://data-access-api:8010", "IMAGING_API_URL": "http://imaging-api:8001"}
    database = "@omop-db:5432/omop"
    return {
        "data-access-api": {
            "DATA_ACCESS_DATABASE_URL": f"postgresql://omop_reader:{mine['READER_PASSWORD']}{database}",
            "DATA_ACCESS_OWNER_DATABASE_URL": f"postgresql://flip_owner:{secrets['DATABASE_PASSWORD']}{database}",
            "COHORT_QUERY_SECONDS": 5,
            **internal,
            **apps,
        },
        "imaging-api": {
            "IMAGING_DATA_DIR": "/data",
            "IMAGING_STORE": "dimse",
            "PACS_AE_TITLE": PACS_AE,
            "PACS_HOST": "pacs",
            "PACS_PORT": PACS_PORT,
            "IMAGING_AE_TITLE": own_title(part),
            "IMAGING_AE_HOST": "0.0.0.0",  # noqa: S104 - within a container
            "IMAGING_AE_PORT": OWN_PORT,
            **internal,
            **apps,
        },
        "fl-client": {
            "SUPERNODE_NAME": part,
            "FL_SERVER_ADDRESS": "fl-server:9092",
            "FL_SERVER_CA_FILE": "/config/ca.pem",
            "FL_SITE_DIR": "/data",
            "IMAGES_DIR": "/data/images",
            **apps,
            **urls,
        },
        "trust-api": {
            "CENTRAL_HUB_API_URL": "https://hub:8000/api",
            "HUB_CA_FILE": "/config/ca.pem",
            "TRUST_API_KEY": mine["TRUST_API_KEY"],
            "AES_KEY_BASE64": mine["AES_KEY_BASE64"],
            "EXPECTED_TRUST_ID": mine["TRUST_ID"],
            "FL_PUBLIC_KEY_FILE": "/fl/site.key.pub",
            "HEARTBEAT_INTERVAL_SECONDS": 5,
            **internal,
            **urls,
        },
    }


def certificate_files(service: str) -> Iterable[str]:
    """Names of the certificate files a service reads beside its settings."""
    if service in ("hub", "fl-server"):
        return ("server.crt", "server.key")
    return ("ca.pem",) if service in ("fl-client", "trust-api") else ()


def prefix_of(part: str) -> str:
    """How the names of a trust's secrets begin."""
    return f"{part.upper()}_"


def resolve(name: str) -> tuple[str, str]:
    """Part and service of `hub`, `Trust_2/trust-api`, or `trust-api`, which is the first trust's.

    Raises:
        KeyError: there is no such service.
    """
    part, _, service = name.rpartition("/")
    if not part:
        part = HUB if service in services(HUB) else TRUSTS[0]
    if part not in PARTS or service not in services(part):
        raise KeyError(name)
    return part, service

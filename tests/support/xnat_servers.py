"""XNAT's stand-in, set up the way role flip_xnat sets XNAT up, before a PACS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from xnat_stand_in import StandIn

from flip_trust.imaging.stores import Peer, XnatServer, XnatStore

ADMIN, SERVICE = ("admin", "admins-password"), ("flip-imaging", "imagings-password")


@dataclass
class Xnat:
    """A stand-in that is set up, and what its own people see."""

    stand_in: StandIn
    receiver: Peer

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.stand_in.url, auth=ADMIN, trust_env=False, timeout=30)

    def server(self, **changes: Any) -> XnatServer:
        given = {
            "url": self.stand_in.url,
            "username": SERVICE[0],
            "password": SecretStr(SERVICE[1]),
            "pacs": "PACS",
            "ae_title": self.receiver.ae_title,
            "ae_port": self.receiver.port,
        }
        return XnatServer(**{**given, **changes})

    def store(self, *, import_seconds: float = 90, timeout_seconds: float = 20, **changes: Any) -> XnatStore:
        return XnatStore(self.server(**changes), timeout_seconds=timeout_seconds, import_seconds=import_seconds)

    def settings(self) -> dict[str, Any]:
        """For imaging-api."""
        return {
            "imaging_store": "xnat",
            "xnat_url": self.stand_in.url,
            "xnat_username": SERVICE[0],
            "xnat_password": SERVICE[1],
            "xnat_pacs": "PACS",
            "xnat_ae_title": self.receiver.ae_title,
            "xnat_ae_port": self.receiver.port,
            "xnat_import_seconds": 90,
        }

    def come_back(self) -> None:
        """Starts it anew once `stand_in` was stopped: at its address, with what it had on disk, without sessions."""
        self.stand_in = StandIn(self.stand_in.archive.root, port=self.stand_in.port)
        self.stand_in.start()

    def rows(self, path: str, **query: str) -> list[dict[str, Any]]:
        """A listing, as a person with a browser would get it."""
        with self.client() as client:
            answer = client.get(path, params={"format": "json", **query}).raise_for_status()
            found: list[dict[str, Any]] = answer.json()["ResultSet"]["Result"]
            return found

    @property
    def asked(self) -> list[str]:
        """What was asked of it since the start, by method and path."""
        return [f"{method} {path}" for method, path in self.stand_in.calls]


def start_xnat(root: Path, pacs: Peer, receiver: Peer) -> Xnat:
    """Starts the stand-in and sets it up: its receiver, the PACS, FLIP's user."""
    stand_in = StandIn(root)
    with stand_in.state.change() as document:
        document["receivers"].clear()
    stand_in.start()
    xnat = Xnat(stand_in, receiver)
    with httpx.Client(base_url=stand_in.url, auth=("admin", "admin"), trust_env=False, timeout=60) as client:
        client.post(
            "/xapi/siteConfig", json={"initialized": True, "siteUrl": stand_in.url, "requireLogin": True}
        ).raise_for_status()
        client.put("/xapi/users/admin", json={"username": "admin", "password": ADMIN[1]}).raise_for_status()
    with xnat.client() as client:
        user = {"username": SERVICE[0], "password": SERVICE[1], "email": "imaging@example.org"}
        client.post("/xapi/users", json=user).raise_for_status()
        client.put(f"/xapi/users/{SERVICE[0]}/roles", json=["Administrator", "Dqr"]).raise_for_status()
        client.post(
            "/xapi/dqr/settings",
            json={
                "allowAllUsersToUseDqr": False,
                "allowAllProjectsToUseDqr": True,
                "dqrCallingAe": receiver.ae_title,
            },
        ).raise_for_status()
        client.post(
            "/xapi/dicomscp",
            json={
                "aeTitle": receiver.ae_title,
                "port": receiver.port,
                "identifier": "dqrObjectIdentifier",
                "customProcessing": True,
            },
        ).raise_for_status()
        client.post(
            "/xapi/pacs",
            json={
                "aeTitle": pacs.ae_title,
                "host": pacs.host,
                "queryRetrievePort": pacs.port,
                "label": "the hospital's",
                "queryable": True,
            },
        ).raise_for_status()
    stand_in.calls.clear()
    return xnat

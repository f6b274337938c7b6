"""The federation as the hub sees it: trusts, nets and the models that run."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flipctl.api import Api
from flipctl.doctor import MAX_CLOCK_SKEW_SECONDS, Finding
from flipctl.status.report import ago

PAGE = 500


@dataclass(frozen=True)
class Federation:
    """What the hub's API says, and what there is to do about it."""

    trusts: list[dict[str, Any]]
    nets: list[dict[str, Any]]
    models: list[dict[str, Any]]
    findings: list[Finding]

    @property
    def faults(self) -> int:
        """How many findings are faults."""
        return sum(row.verdict == "fault" for row in self.findings)


def look(api: Api) -> Federation:
    """Asks the hub, as one of its administrators.

    Raises:
        ApiError: the hub refused; to others it does not show keys.
        httpx.HTTPError: it cannot be reached.
    """
    trusts = [{**trust, "keys": api.get(f"/trusts/{trust['trust_id']}/keys")} for trust in api.get("/trusts")]
    nets = api.get("/nets")
    findings = [finding for trust in trusts for finding in _check_trust(trust, nets)]
    findings += [
        Finding(f"net {net['name']}", "fault", net["problem"], "on the hub's host: flipctl status")
        for net in nets
        if not net["reachable"]
    ]
    return Federation(trusts, nets, list(_running(api)), findings)


def _check_trust(trust: dict[str, Any], nets: list[dict[str, Any]]) -> Iterator[Finding]:
    name = trust["name"]
    if not trust["enabled"]:
        yield Finding(name, "warning", "disabled here: its calls are refused", "PATCH its `enabled`, if that is over")
        return
    if not trust["online"]:
        last = trust["last_heartbeat_at"]
        found = f"offline, last heard {ago(datetime.fromisoformat(last))}" if last else "never heard of"
        yield Finding(name, "fault", found, "on its host: flipctl status")
        return
    for service in sorted(service for service, up in trust["services"].items() if not up):
        yield Finding(name, "fault", f"{service} does not answer there", "on its host: flipctl status")
    skew = trust["clock_skew_seconds"]
    if skew is not None and abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        yield Finding(name, "warning", f"its clock is {skew:.0f} s off", "set the time there by NTP")
    if not trust["fl_key_registered"]:
        yield Finding(name, "fault", "it sent no FL key", "on its host: systemctl restart flip-fl-client flip-trust")
    else:
        for net in nets:
            if net["reachable"] and not any(site["online"] for site in net["sites"] if site["trust"] == name):
                yield Finding(
                    name, "fault", f"its FL client is not in net {net['name']}", "on its host: flipctl status"
                )
    yield from _check_keys(trust)


def _check_keys(trust: dict[str, Any]) -> Iterator[Finding]:
    """Keys do not expire; one too many is a rotation that was not brought to its end."""
    live = sorted((key for key in trust["keys"] if key["retired_at"] is None), key=lambda key: str(key["created_at"]))
    if len(live) < 2:
        return
    name = trust["name"]
    if live[-1]["first_used_at"] is None:
        made = ago(datetime.fromisoformat(live[-1]["created_at"]))
        remedy = f"open that kit there, or if it is lost: flipctl trust retire {name} --unused"
        yield Finding(name, "warning", f"a kit made {made} is not in use yet", remedy)
    else:
        yield Finding(name, "warning", "the older kit still works", f"flipctl trust retire {name}")


def _running(api: Api) -> Iterator[dict[str, Any]]:
    for project in _paged(api, "/projects"):
        for model in _paged(api, f"/projects/{project['id']}/models"):
            job = model["job"]
            if job is not None and job["ended_at"] is None:
                yield {
                    "model": model["id"],
                    "name": model["name"],
                    "project": project["name"],
                    "status": model["status"],
                    "net": job["net"],
                    "round": job["round"],
                    "trusts": job["trusts"],
                    "since": job["created_at"],
                }


def _paged(api: Api, path: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while page := api.get(path, limit=PAGE, offset=offset):
        yield from page
        offset += len(page)

"""The people's parts, played through the hub's public API only: administrator, researcher, two trusts' owners."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flip_common.appcheck import build_zip, check_dir
from flip_common.wire import ModelStatus
from flipctl.api import Api, wait_for
from flipctl.data import DEMO_QUERY
from flipctl.demo.progress import Progress

RESEARCHER = "researcher@demo.example"
# Too few people at either trust: shows what a suppressed answer looks like.
NARROW_QUERY = f"{DEMO_QUERY} AND p.year_of_birth < 1925"
ANSWER_SECONDS, IMPORT_SECONDS, JOB_SECONDS = 60, 300, 900


class DemoError(RuntimeError):
    """Something did not hold; the text says what."""


@dataclass
class Run:
    """What came of the demo's model."""

    model_id: str
    status: str
    job: Mapping[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    results: dict[str, Path] = field(default_factory=dict)


class People:
    """Everyone who takes part. All of them see the hub only."""

    def __init__(self, admin: Api, base_url: str, progress: Progress, ca: Path | None = None) -> None:
        self.admin, self.base_url, self.progress, self._ca = admin, base_url, progress, ca
        self.passwords: dict[str, str] = {}
        self.owners: dict[str, Api] = {}
        self.trust_ids: dict[str, str] = {}
        self._callers = [admin]

    def close(self) -> None:
        """Closes everyone's connections."""
        for caller in self._callers:
            caller.close()

    def register_trust(self, name: str) -> dict[str, str]:
        """The administrator registers a trust; returns its kit."""
        kit: dict[str, str] = self.admin.post("/trusts", {"name": name})
        self.trust_ids[name] = kit["trust_id"]
        return kit

    def make_accounts(self) -> None:
        """The administrator makes accounts; everyone signs in."""
        self.researcher = self._account(RESEARCHER, ["RESEARCHER"])
        for name, trust_id in self.trust_ids.items():
            email = f"owner.{name.lower()}@demo.example"
            self.owners[name] = self._account(email, ["TRUST_OWNER"], [trust_id])

    def _account(self, email: str, roles: list[str], trust_ids: list[str] | None = None) -> Api:
        self.passwords[email] = secrets.token_urlsafe(12)
        body = {"email": email, "password": self.passwords[email], "roles": roles, "trust_ids": trust_ids or []}
        self.admin.post("/users", body)
        return self.sign_in(email)

    def sign_in(self, email: str) -> Api:
        """Signs in with an account made here."""
        caller = Api.sign_in(self.base_url, email, self.passwords[email], self._ca)
        self._callers.append(caller)
        return caller

    def wait_for_trusts(self, seconds: float) -> None:
        """Until every trust is online and its FL client is connected."""

        def look() -> bool | None:
            online = {trust["name"] for trust in self.admin.get("/trusts") if trust["online"]}
            sites = {site["trust"] for net in self.admin.get("/nets") for site in net["sites"] if site["online"]}
            return True if online & sites >= set(self.trust_ids) else None

        wait_for("trusts and their FL clients are online", look, seconds)

    def query_cohort(self, project: str, name: str, query: str) -> dict[str, Any]:
        """The researcher asks all trusts; returns the answered query."""
        asked = self.researcher.post(f"/projects/{project}/cohort-queries", {"name": name, "query": query})
        path = f"/projects/{project}/cohort-queries/{asked['id']}"

        def look() -> dict[str, Any] | None:
            seen: dict[str, Any] = self.researcher.get(path)
            return seen if all(answer["state"] != "PENDING" for answer in seen["answers"]) else None

        answered = wait_for(f"answers to cohort query {name!r}", look, ANSWER_SECONDS)
        for answer in answered["answers"]:
            if answer["state"] != "ANSWERED":
                raise DemoError(f"{answer['trust']} did not answer {name!r}: {answer['error']}")
            self.progress.say(f"  {answer['trust']}: {describe(answer['result'])}")
        return answered

    def new_project(self) -> str:
        """The researcher opens a project."""
        project: dict[str, Any] = self.researcher.post(
            "/projects", {"name": "Grey and white matter", "description": "Segmentation of brain MR"}
        )
        return str(project["id"])

    def approve(self, project: str, query_id: str) -> None:
        """The researcher stages the project; each trust's owner reads and approves it for that trust."""
        self.researcher.post(f"/projects/{project}/stage", {"query_id": query_id})
        for name, owner in self.owners.items():
            seen = owner.get(f"/projects/{project}")
            owner.post(
                f"/projects/{project}/trusts/{self.trust_ids[name]}/decision",
                {"decision": "APPROVED", "note": f"query {seen['staged_query_sha256'][:12]} read"},
            )
            self.progress.say(f"  {name}'s owner approved query {seen['staged_query_sha256'][:12]}")

    def wait_for_images(self, project: str) -> None:
        """Until every trust has frozen its cohort and brought in what its PACS has."""

        def frozen() -> bool | None:
            trusts = self.researcher.get(f"/projects/{project}")["trusts"]
            for trust in trusts:
                if trust["cohort_state"] == "FAILED":
                    raise DemoError(f"{trust['trust']}: freezing the cohort: {trust['cohort_error']}")
            return True if all(trust["cohort_state"] == "FROZEN" for trust in trusts) else None

        wait_for("frozen cohorts", frozen, ANSWER_SECONDS)
        done: set[str] = set()

        def look() -> bool | None:
            self.researcher.post(f"/projects/{project}/imaging/refresh")
            time.sleep(1)
            for site in self.researcher.get(f"/projects/{project}/imaging"):
                if site["error"]:
                    raise DemoError(f"{site['trust']}: imaging: {site['error']}")
                result = site["result"]
                if result and result["state"] == "DONE" and site["trust"] not in done:
                    done.add(site["trust"])
                    self.progress.say(f"  {site['trust']}: {describe_imaging(result)}")
            return True if done == set(self.trust_ids) else None

        wait_for("images at every trust", look, IMPORT_SECONDS)

    def upload_app(self, project: str, app: Path, name: str) -> str:
        """The researcher checks the app at home, makes a model and uploads the app; the hub checks it again."""
        report = check_dir(app)
        if not report.ok:
            raise DemoError(f"{app} does not pass the check: {report.as_dict()}")
        model: dict[str, Any] = self.researcher.post(f"/projects/{project}/models", {"name": name})
        answer = self.researcher.put_file(f"/models/{model['id']}/app", build_zip(app))
        self.progress.say(f"  app accepted, sha256 {answer['sha256'][:12]}")
        return str(model["id"])

    def start(self, model: str, run_config: Mapping[str, Any], **options: Any) -> None:
        """The researcher starts the model."""
        self.researcher.post(f"/models/{model}/start", {"run_config": dict(run_config), **options})

    def follow(self, model: str, label: str = "", seconds: float = JOB_SECONDS) -> Run:
        """The researcher watches until the model has ended; tells each round's `label` of every trust."""
        told: set[tuple[str, int]] = set()
        status = ""

        def look() -> dict[str, Any] | None:
            nonlocal status
            seen: dict[str, Any] = self.researcher.get(f"/models/{model}")
            if seen["status"] != status:
                status = seen["status"]
                self.progress.say(f"  model is {status}")
            for series in self.researcher.get(f"/models/{model}/metrics") if label else ():
                for point in series["points"] if series["label"] == label else ():
                    if (series["trust"], point["round"]) not in told:
                        told.add((series["trust"], point["round"]))
                        self.progress.say(f"  round {point['round']}  {series['trust']}  {label} {point['value']:.3f}")
            return seen if ModelStatus(status).terminal and seen["job"] and seen["job"]["ended_at"] else None

        ended = wait_for("the job's end", look, seconds, pause=1)
        return Run(model, ended["status"], ended["job"], self.researcher.get(f"/models/{model}/metrics"))

    def download(self, run: Run, folder: Path) -> None:
        """The researcher downloads every result."""
        for result in self.researcher.get(f"/models/{run.model_id}/results"):
            name = result["filename"]
            run.results[name] = self.researcher.download(f"/models/{run.model_id}/results/{name}", folder / name)

    def events(self, model: str) -> list[dict[str, Any]]:
        """What happened to the model."""
        events: list[dict[str, Any]] = self.researcher.get(f"/models/{model}/events")
        return events


def describe(result: Mapping[str, Any]) -> str:
    """A cohort answer in words."""
    subjects = result["subjects"]
    if subjects["suppressed"]:
        return f"suppressed (fewer than {subjects['threshold']} subjects, or none)"
    columns = ", ".join(column["name"] for column in result["columns"])
    return f"about {subjects['value']} subjects, to the nearest {subjects['rounding']}; distributions of {columns}"


def describe_imaging(result: Mapping[str, Any]) -> str:
    """An imaging status in words; states with too few studies to tell are left out."""
    told = [
        f"~{count['value']} {state.lower()}" for state, count in result["studies"].items() if not count["suppressed"]
    ]
    return f"import {result['state'].lower()}: {', '.join(told) or 'no state has enough studies to tell'}"

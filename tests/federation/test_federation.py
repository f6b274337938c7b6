"""Researchers' jobs through the whole system, and what must not break it."""

import os
import re
import signal
from pathlib import Path

import httpx
import psutil
import pytest

from flipctl import envfile
from flipctl.api import Api, ApiError, wait_for
from flipctl.data import DEMO_QUERY
from flipctl.demo.play import RESEARCHER, People

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

TUTORIALS = Path(__file__).parents[2] / "tutorials"
TABULAR_QUERY = (
    "SELECT p.person_id, p.year_of_birth, p.gender_concept_id, count(DISTINCT v.visit_occurrence_id) AS visits, "
    "max(CASE WHEN c.condition_concept_id = 316866 THEN 1 ELSE 0 END) AS has_condition "
    "FROM omop.person p JOIN omop.visit_occurrence v ON v.person_id = p.person_id "
    "LEFT JOIN omop.condition_occurrence c ON c.person_id = p.person_id "
    "GROUP BY p.person_id, p.year_of_birth, p.gender_concept_id"
)


@pytest.fixture(scope="module")
def imaging_project(federation) -> str:
    """A project whose cohort has brain MR, approved and imported everywhere."""
    people: People = federation.people
    project = people.new_project()
    people.approve(project, people.query_cohort(project, "MR of the brain", DEMO_QUERY)["id"])
    people.wait_for_images(project)
    return project


@pytest.fixture(scope="module")
def tabular_project(federation) -> str:
    """A project without images, approved everywhere."""
    people: People = federation.people
    project = people.new_project()
    people.approve(project, people.query_cohort(project, "visits and hypertension", TABULAR_QUERY)["id"])

    def frozen() -> bool | None:
        trusts = people.researcher.get(f"/projects/{project}")["trusts"]
        return True if all(trust["cohort_state"] == "FROZEN" for trust in trusts) else None

    wait_for("frozen cohorts", frozen, 60)
    return project


def test_the_published_walkthrough_runs_unchanged(federation, imaging_project: str) -> None:
    people: People = federation.people
    model = people.upload_app(imaging_project, TUTORIALS / "walkthrough", "walkthrough")
    people.start(model, {}, min_sites=2)
    run = people.follow(model)
    assert run.status == "RESULTS_UPLOADED"
    assert not run.job["failures"]
    results = people.researcher.get(f"/models/{model}/results")
    assert [result["filename"] for result in results] == ["FL_global_model.pt"]
    labels = {(series["trust"], series["label"]) for series in run.metrics}
    assert {("Trust_1", "train_loss"), ("Trust_2", "train_loss")} <= labels
    said = [event["detail"].get("status") or event["detail"].get("to") for event in people.events(model)]
    assert {"PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"} <= set(said)


def test_of_an_evaluation_only_metrics_leave(federation, imaging_project: str) -> None:
    people: People = federation.people
    model = people.upload_app(imaging_project, TUTORIALS / "evaluation", "evaluation")
    people.start(model, {}, min_sites=2)
    run = people.follow(model)
    assert run.status == "RESULTS_UPLOADED"
    assert {series["trust"] for series in run.metrics} == {"Trust_1", "Trust_2"}
    names = [result["filename"] for result in people.researcher.get(f"/models/{model}/results")]
    assert all(name.endswith(".json") for name in names)


def test_the_hub_is_killed_while_a_job_runs(federation, tabular_project: str) -> None:
    people: People = federation.people
    model = people.upload_app(tabular_project, TUTORIALS / "tabular", "visits and hypertension")
    people.start(model, {"num-server-rounds": 4}, min_sites=2)

    def first_round_is_over() -> bool | None:
        assert people.researcher.get(f"/models/{model}")["status"] != "ERROR", people.events(model)
        return True if people.researcher.get(f"/models/{model}/metrics") else None

    wait_for("metrics of the first round", first_round_is_over, 120)
    before = people.researcher.get(f"/models/{model}/metrics")
    hub = federation.stack.processes.running["hub"]
    os.kill(hub.pid, signal.SIGKILL)
    hub.wait()
    federation.stack.start("hub")

    def hub_is_back() -> Api | None:
        try:
            return people.sign_in(RESEARCHER)
        except (httpx.TransportError, ApiError):
            return None

    people.researcher = wait_for("the hub to be back", hub_is_back, 90)
    run = people.follow(model)
    assert run.status == "RESULTS_UPLOADED", run.job["reason"]
    assert not run.job["failures"]
    after = {(series["trust"], series["label"]): series["points"] for series in run.metrics}
    for series in before:
        points = after[series["trust"], series["label"]]
        assert points[: len(series["points"])] == series["points"], "metrics from before the kill were lost"
    rounds = {point["round"] for points in after.values() for point in points}
    assert rounds == {1, 2, 3, 4}


def test_a_killed_trust_api_answers_after_its_restart(federation) -> None:
    people: People = federation.people
    trust_api = federation.stack.processes.running["Trust_1.trust-api"]
    os.kill(trust_api.pid, signal.SIGKILL)
    trust_api.wait()
    project = people.new_project()
    asked = people.researcher.post(f"/projects/{project}/cohort-queries", {"name": "late", "query": DEMO_QUERY})
    federation.stack.start("Trust_1.trust-api")

    def answered() -> bool | None:
        seen = people.researcher.get(f"/projects/{project}/cohort-queries/{asked['id']}")
        return True if {answer["state"] for answer in seen["answers"]} == {"ANSWERED"} else None

    assert wait_for("both trusts' answers", answered, 120)


def test_nobody_else_decides_for_a_trust(federation) -> None:
    people: People = federation.people
    project = people.new_project()
    query = people.query_cohort(project, "MR of the brain", DEMO_QUERY)
    people.researcher.post(f"/projects/{project}/stage", {"query_id": query["id"]})
    path = f"/projects/{project}/trusts/{people.trust_ids['Trust_1']}/decision"
    for caller in (people.researcher, people.admin, people.owners["Trust_2"]):
        with pytest.raises(ApiError, match=r"forbidden|not_found"):
            caller.post(path, {"decision": "APPROVED", "note": ""})


def test_no_secret_is_in_any_log_or_argument(federation) -> None:
    """Runs last in this file: by now every service has logged what it logs."""
    folder: Path = federation.stack.folder
    secrets = {
        value
        for env in folder.rglob("*.env")
        for name, value in envfile.read(env).items()
        if re.search(r"KEY(_BASE64)?$|DATABASE_URL$", name) and "HASH" not in name
    }
    secrets |= {federation.stack.admin_password, *federation.people.passwords.values()}
    assert len(secrets) > 10
    logs = [path for path in folder.rglob("*.log") if path.is_file()]
    assert len(logs) > 10
    found = {path.name for path in logs for secret in secrets if secret in path.read_text(errors="replace")}
    assert found == set()
    arguments = " ".join(" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True))
    assert "flip_hub" in arguments
    assert not [secret for secret in secrets if secret in arguments]

"""Jobs on a real net: Flower's own processes, TLS, node keys, and what happens when parts of it die."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from fl_net import wait_until

from flip_common.wire import JobSpec, JobStatus

# Flower's own use of pathspec.
pytestmark = [
    pytest.mark.flower,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
]

SECRET = "patient_id=SECRET123"
SERVER_APP_MODULE, CLIENT_APP_MODULE = "flip_fl.flower.serverapp", "flip_fl.flower.clientapp"


def lives(process: psutil.Process) -> bool:
    """Whether it runs; a zombie only waits to be asked how it ended."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="session")
def app(app_files: dict[str, Any], zip_of: Callable[..., bytes]) -> bytes:
    """The app, packed."""
    return zip_of(app_files)


@pytest.fixture
def third_site(net: Any) -> Iterator[None]:
    """A site beside the two, for one test."""
    net.start_site("Trust_C", apart=True)
    yield
    net.stop("Trust_C")


@pytest.fixture
def start(net: Any, app: bytes) -> Callable[..., list[psutil.Process]]:
    """Submits a job and waits until its app runs at these sites; returns the app's processes there."""

    def begin(spec: JobSpec, *trusts: str) -> list[psutil.Process]:
        for trust in trusts:
            wait_until("no earlier app is left", lambda trust=trust: not net.processes(trust, CLIENT_APP_MODULE))
        net.run(app, spec)
        return [
            wait_until("the app runs", lambda trust=trust: net.processes(trust, CLIENT_APP_MODULE))[0]
            for trust in trusts
        ]

    return begin


def text_below(folder: Path, text: str) -> list[str]:
    """Files below a folder that hold a text."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def points_of(net: Any, model_id: UUID) -> dict[tuple[str, str, int], float]:
    """Metrics of a model at the hub."""
    points = net.hub.metrics.get(str(model_id), [])
    return {(point["trust"], point["label"], point["round"]): point["value"] for point in points}


def test_a_job_of_two_rounds(net: Any, app: bytes, make_spec: Callable[..., JobSpec], third_site: None) -> None:
    wait_until("the third site is online", lambda: net.online("Trust_C"))
    # The app says at both sites that it is Trust_Z.
    spec = make_spec(app, run_config={"rate": 1, "num-rounds": 2, "mode": "liar"})
    first = net.submit(app, spec)
    assert (first.status_code, first.json()["status"]) == (201, "PENDING")
    again = net.submit(app, spec)
    assert (again.status_code, again.json()["job_id"]) == (200, str(spec.job_id))
    assert net.submit(app, make_spec(app, job_id=spec.job_id)).status_code == 409

    state = net.ended(spec.job_id)

    assert (state.status, state.reason, state.round, state.failures) == (JobStatus.FINISHED, "", 2, {})
    assert state.started_at is not None
    assert state.ended_at is not None
    points = points_of(net, spec.model_id)
    assert {trust for trust, _, _ in points} == {"Trust_A", "Trust_B"}
    for trust in ("Trust_A", "Trust_B"):
        for number in (1, 2):
            assert points[trust, "loss", number] == points[trust, "evaluate/loss", number] == 8.0
            assert points[trust, "num-examples", number] == 10
        assert points[trust, "curve", 7] == 0.25
    assert not [label for _, label, _ in points if label.endswith("bad")]
    assert spec.model_id not in {UUID(model) for model in net.hub.exceptions}
    log = net.logs(spec.job_id)
    assert "server mode liar" in log
    assert "forbidden []" in log
    assert "flip_test_service_key" not in log
    assert "\x1b" not in log
    assert not list((net.root / "Trust_C" / "runs").iterdir())
    assert not net.processes("fl", SERVER_APP_MODULE)
    # What an app prints at a site is there and nowhere else.
    assert text_below(net.root / "Trust_A" / "runs", SECRET)
    assert not text_below(net.root / "fl", SECRET)


def test_an_exception_at_a_site_stays_there(net: Any, app: bytes, make_spec: Callable[..., JobSpec]) -> None:
    spec = make_spec(app, run_config={"mode": "client-raises", "at": "Trust_B"})
    state = net.ended(net.run(app, spec))
    assert state.status is JobStatus.FAILED
    assert state.reason == ("round 1 (train): 1 of 2 sites answered well (Trust_B: KeyError); 2 are needed")
    assert state.failures == {"Trust_B": 1}
    digest = hashlib.sha256(str(KeyError(SECRET)).encode()).hexdigest()
    assert net.hub.exceptions[str(spec.model_id)] == [
        {"trust": "Trust_B", "code": "KeyError", "digest": digest, "round": 1}
    ]
    assert not text_below(net.root / "fl", SECRET)
    assert SECRET not in net.logs(spec.job_id)
    log = next(Path(path) for path in text_below(net.root / "Trust_B" / "runs", digest))
    assert f"KeyError: '{SECRET}'" in log.read_text()


def test_a_site_that_fails_is_counted_and_the_others_go_on(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec]
) -> None:
    spec = make_spec(app, min_sites=1, run_config={"mode": "client-exits", "at": "Trust_B"})
    state = net.ended(net.run(app, spec))
    assert (state.status, state.failures) == (JobStatus.FINISHED, {"Trust_B": 2})
    assert {item["code"] for item in net.hub.exceptions[str(spec.model_id)]} == {"SystemExit"}
    assert {trust for trust, _, _ in points_of(net, spec.model_id)} == {"Trust_A"}


def test_a_stopped_job_leaves_no_process(net: Any, app: bytes, make_spec: Callable[..., JobSpec], start: Any) -> None:
    spec = make_spec(app, run_config={"mode": "client-slow"})
    start(spec, "Trust_A", "Trust_B")
    answer = net.api.delete(f"/jobs/{spec.job_id}").json()
    assert (answer["status"], answer["reason"]) == ("STOPPED", "stopped on request")
    assert not net.processes("fl", SERVER_APP_MODULE)
    for trust in ("Trust_A", "Trust_B"):
        wait_until("no app is left", lambda trust=trust: not net.processes(trust, CLIENT_APP_MODULE), 60)
    # It stays stopped, also when asked again.
    assert net.api.delete(f"/jobs/{spec.job_id}").json()["status"] == "STOPPED"


def test_an_app_that_dies_at_a_site_is_a_failure_at_once(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec], start: Any
) -> None:
    spec = make_spec(app, round_timeout_seconds=600, run_config={"mode": "client-slow", "at": "Trust_B"})
    process = start(spec, "Trust_B")[0]
    runs = net.root / "Trust_B" / "runs"
    record = wait_until("it is recorded", lambda: list(runs.glob(f"*-{process.pid}.process")))[0]
    log = runs / f"{record.name.split('-')[0]}.log"
    wait_until("the app has begun", lambda: "client prints" in log.read_text())
    time.sleep(2)  # what is tested is the death of an app that was seen alive
    process.kill()
    began = time.monotonic()
    state = net.ended(spec.job_id)
    assert "Trust_B: CLIENT_APP_CRASHED" in state.reason
    assert time.monotonic() - began < 120


def test_a_server_app_that_raises_fails_the_job(net: Any, app: bytes, make_spec: Callable[..., JobSpec]) -> None:
    spec = make_spec(app, run_config={"mode": "server-raises"})
    state = net.ended(net.run(app, spec))
    assert (state.status, state.reason) == (JobStatus.FAILED, "the ServerApp failed; the job's log says how")
    assert "server trouble" in net.logs(spec.job_id)


def test_server_apps_that_die_or_never_end_fail_their_jobs(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec]
) -> None:
    endless = make_spec(app, job_timeout_seconds=45, round_timeout_seconds=600, run_config={"mode": "server-hangs"})
    net.run(app, endless)
    wait_until("the first ServerApp is at work", lambda: "server mode" in net.logs(endless.job_id))
    first = {process.pid for process in net.processes("fl", SERVER_APP_MODULE)}
    killed = make_spec(app, run_config={"mode": "server-hangs"})
    net.run(app, killed)
    wait_until("the second ServerApp is at work", lambda: "server mode" in net.logs(killed.job_id))
    for process in net.processes("fl", SERVER_APP_MODULE):
        if process.pid not in first:
            process.kill()
    state = net.ended(killed.job_id)
    assert (state.status, state.reason) == (JobStatus.FAILED, "the ServerApp's process ended without a result")
    state = net.ended(endless.job_id)
    assert (state.status, state.reason) == (JobStatus.FAILED, "the job took longer than 45 s")
    assert not net.processes("fl", SERVER_APP_MODULE)


def test_what_the_hub_refuses_fails_the_job(net: Any, app: bytes, make_spec: Callable[..., JobSpec]) -> None:
    net.hub.refuse = 409
    try:
        state = net.ended(net.run(app, make_spec(app)))
    finally:
        net.hub.refuse = 0
    assert state.status is JobStatus.FAILED
    assert state.reason.startswith("the hub did not take a report: POST /models/")
    assert "status 409" in state.reason


def test_a_job_whose_site_never_comes_fails(net: Any, app: bytes, make_spec: Callable[..., JobSpec]) -> None:
    spec = make_spec(app, trusts=["Trust_A", "Trust_C"], round_timeout_seconds=10)
    state = net.ended(net.run(app, spec))
    assert state.status is JobStatus.FAILED
    assert state.reason == "1 sites were connected, 2 are needed; missing: Trust_C"


def test_a_site_that_is_too_slow_fails_the_round(net: Any, app: bytes, make_spec: Callable[..., JobSpec]) -> None:
    # The app's own strategy would wait for an hour.
    spec = make_spec(app, round_timeout_seconds=20, run_config={"mode": "client-slow", "at": "Trust_B"})
    state = net.ended(net.run(app, spec))
    assert state.status is JobStatus.FAILED
    assert "Trust_B: NoReply" in state.reason


def test_a_killed_supernode_fails_the_round_and_comes_back(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec], start: Any
) -> None:
    spec = make_spec(app, round_timeout_seconds=600, run_config={"mode": "client-slow", "at": "Trust_B"})
    start(spec, "Trust_B")
    net.processes("Trust_B", "flip_fl.flower.supernode")[0].kill()
    state = net.ended(spec.job_id)
    assert state.status is JobStatus.FAILED
    # The SuperNode is missed before its message is, where it comes back slowly.
    assert re.search(r"\(Trust_B: (MESSAGE|NODE)_UNAVAILABLE\)", state.reason)
    wait_until("the site is back", lambda: net.online("Trust_A", "Trust_B"))
    wait_until("no app is left", lambda: not net.processes("Trust_B", CLIENT_APP_MODULE), 60)


def test_a_killed_superlink_comes_back_and_the_job_ends(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec], start: Any
) -> None:
    spec = make_spec(app, round_timeout_seconds=30)
    start(spec, "Trust_A")
    net.processes("fl", "flip_fl.flower.superlink")[0].kill()
    state = net.ended(spec.job_id)
    assert state.status in (JobStatus.FINISHED, JobStatus.FAILED)
    assert not net.processes("fl", SERVER_APP_MODULE)
    wait_until("the sites are back", lambda: net.online("Trust_A", "Trust_B"))


def test_a_killed_fl_api_sets_the_record_straight(
    net: Any, app: bytes, make_spec: Callable[..., JobSpec], start: Any
) -> None:
    net.stop("fl")
    net.start_api(apart=True)
    wait_until("the sites are back", lambda: net.online("Trust_A", "Trust_B"))
    running = make_spec(app, run_config={"mode": "client-slow"})
    start(running, "Trust_A")
    waiting = make_spec(app, trusts=["Trust_C"], min_sites=1, round_timeout_seconds=600)
    net.run(app, waiting)
    family = psutil.Process(net.services["fl"].pid).children(recursive=True)
    net.kill("fl")
    wait_until("nothing of it is left", lambda: not [item for item in family if lives(item)], 30)
    net.start_api(apart=True)
    state = net.state(running.job_id)
    assert (state.status, state.reason) == (JobStatus.FAILED, "the FL server was restarted while the job ran")
    assert net.state(waiting.job_id).status is JobStatus.PENDING
    assert net.api.delete(f"/jobs/{waiting.job_id}").json()["status"] == "STOPPED"
    for trust in ("Trust_A", "Trust_B"):
        wait_until("no app is left", lambda trust=trust: not net.processes(trust, CLIENT_APP_MODULE), 60)
    wait_until("the sites are back", lambda: net.online("Trust_A", "Trust_B"))
    assert net.ended(net.run(app, make_spec(app))).status is JobStatus.FINISHED
    assert SECRET not in net.output("fl")

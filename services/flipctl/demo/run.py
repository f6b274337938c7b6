"""What `flipctl demo` does, from the first process to the report."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

import flipctl.data
from flipctl.api import ApiError
from flipctl.data import DEMO_QUERY, Manifest, generate
from flipctl.data.generate import DEFAULT_SEED
from flipctl.demo import checks
from flipctl.demo.play import NARROW_QUERY, DemoError, People, Run
from flipctl.demo.progress import Progress
from flipctl.demo.report import Report
from flipctl.demo.stack import ADMIN, START_SECONDS, Stack
from flipctl.demo.watch import MemoryWatch
from flipctl.processes import Processes, ProcessFailedError

FAILURES = (DemoError, ApiError, ProcessFailedError, TimeoutError, httpx.HTTPError)
APP = Path(__file__).resolve().parents[3] / "tutorials" / "brain_segmentation"
TRUSTS = ("Trust_1", "Trust_2")
CURVE = "val_dice_global"


def run(
    folder: Path, patients: int, rounds: int, keep: bool, progress: Progress, present: Callable[[Report], None]
) -> Report:
    """Stands everything up, plays it through, shows the report and ends every process.

    Raises:
        FAILURES: something did not hold; the text says what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        return _run_alone(folder, patients, rounds, keep, progress, present)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DemoError(
                f"a demo runs in {folder} (process {lock.read().strip()}); end it, or give another --folder"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _run_alone(
    folder: Path, patients: int, rounds: int, keep: bool, progress: Progress, present: Callable[[Report], None]
) -> Report:
    for name in ("hub", "fl-server", "logs", "results", *TRUSTS):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    if os.geteuid() == 0:
        progress.say(
            "started by root: PostgreSQL runs as a user of its own, pgserver, which may pass through this folder"
        )
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folder / "logs"))
        memory = stack.enter_context(MemoryWatch(processes))
        federation = stack.enter_context(Stack(folder, processes, TRUSTS))
        with progress.step("hub and FL server start"):
            federation.start_hub()
        with progress.step("brain MR, labels and patient records are made"):
            manifest = make_data(folder / "data", patients, progress)
        with progress.step("administrator signs in, registers trusts, makes accounts"):
            people = People(federation.sign_in_admin(), federation.api_url, progress)
            stack.callback(people.close)
            kits = {name: people.register_trust(name) for name in TRUSTS}
            people.make_accounts()
        with progress.step("trusts start, each with its own database, PACS and services"):
            for name in TRUSTS:
                federation.start_trust(name, kits[name], manifest, folder / "data")
            people.wait_for_trusts(START_SECONDS)
        run = play(people, rounds, folder / "results", progress)
        report = _report(folder, run, progress, memory)
        present(report)
        if keep:
            _keep(federation, people, progress)
    return report


def make_data(folder: Path, patients: int, progress: Progress) -> Manifest:
    """The data of the demo's two trusts in this folder, made once for each release of the generator."""
    # Data of another release of the generator would not match the patient records made now.
    sources = sorted(Path(flipctl.data.__file__).parent.glob("*.py"))
    release = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    wanted = f"{release} {DEFAULT_SEED} {patients} {' '.join(TRUSTS)}"
    stamp = folder / "complete"
    if stamp.exists() and stamp.read_text() == wanted:
        progress.say("  made by an earlier demo, used again")
        return Manifest.load(folder)
    if folder.exists():
        shutil.rmtree(folder)
    manifest = generate(folder, TRUSTS, patients)
    stamp.write_text(wanted)
    return manifest


def play(people: People, rounds: int, results: Path, progress: Progress, *, compare_alone: bool = True) -> Run:
    """The people's parts from the cohort query to the downloaded results.

    Args:
        compare_alone: whether each trust trains a model alone as well, to be compared with the federated one.

    Raises:
        DemoError: the model did not end with results.
    """
    with progress.step("researcher asks for cohorts"):
        project = people.new_project()
        people.query_cohort(project, "born before 1925", NARROW_QUERY)
        query = people.query_cohort(project, "MR of the brain", DEMO_QUERY)
    with progress.step("trusts' owners approve"):
        people.approve(project, query["id"])
    with progress.step("studies come from the PACS and become NIfTI"):
        people.wait_for_images(project)
    with progress.step("researcher uploads the app"):
        model = people.upload_app(project, APP, "U-Net, grey and white matter")
    with progress.step(f"{rounds} rounds of training across the trusts"):
        config = {"num-server-rounds": rounds, "compare-alone": compare_alone}
        people.start(model, config, min_sites=len(people.trust_ids))
        run = people.follow(model, CURVE)
        if run.status != "RESULTS_UPLOADED":
            raise DemoError(f"the model ended as {run.status}: {run.job['reason']}")
    with progress.step("researcher downloads the results"):
        people.download(run, results)
    return run


def _report(folder: Path, run: Run, progress: Progress, memory: MemoryWatch) -> Report:
    curve = series(run, CURVE)
    initial, final = (checks.load(run.results[f"{name}.npz"]) for name in ("initial", "final"))
    summary = json.loads(run.results["metrics.json"].read_text())
    last = {trust: checks.load(run.results[f"local_{trust}.npz"]) for trust in TRUSTS}
    held = [
        checks.rises(curve, CURVE),
        checks.beats_alone(_cross_evaluation(run)),
        checks.weights_changed(initial, final),
        checks.is_weighted_mean(final, last, summary["num_examples"]),
        checks.metrics_match(run.metrics, {name: _site_log(folder, name) for name in TRUSTS}),
        checks.Check("no client failed", not run.job["failures"], f"failures: {run.job['failures'] or 'none'}"),
    ]
    return Report(
        seconds=progress.elapsed,
        steps=progress.durations,
        peak_memory=memory.peak_bytes,
        peak_processes=memory.peak_processes,
        curve=curve,
        checks=held,
        folder=folder,
        results=list(run.results.values()),
    )


def series(run: Run, label: str) -> dict[str, list[tuple[int, float]]]:
    """A metric by trust, as (round, value)."""
    return {
        found["trust"]: [(point["round"], point["value"]) for point in found["points"]]
        for found in run.metrics
        if found["label"] == label
    }


def _cross_evaluation(run: Run) -> Mapping[str, Mapping[str, float]]:
    models = ["global", *(f"alone_{trust}" for trust in TRUSTS)]
    return {model: {trust: points[-1][1] for trust, points in series(run, f"dice_{model}").items()} for model in models}


def _site_log(folder: Path, trust: str) -> str:
    return "".join(path.read_text(errors="replace") for path in sorted((folder / trust / "fl").rglob("*.log")))


def _keep(federation: Stack, people: People, progress: Progress) -> None:
    progress.say("[bold]the federation stays up; Ctrl-C ends it[/bold]")
    progress.say(f"  hub API       {federation.api_url}  (documents: {federation.api_url}/docs)")
    sign_ins: dict[str, Any] = {ADMIN: federation.admin_password, **people.passwords}
    for email, password in sign_ins.items():
        progress.say(f"  sign in       {email}  password {password}")
    try:
        signal.pause()
    except KeyboardInterrupt:
        progress.say("ending every process")

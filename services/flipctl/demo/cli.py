"""`flipctl demo`."""

import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console

import flipctl.data
from flipctl.api import ApiError
from flipctl.data import DEMO_QUERY, Manifest, generate
from flipctl.data.generate import DEFAULT_SEED
from flipctl.demo import checks
from flipctl.demo.play import NARROW_QUERY, DemoError, People, Run
from flipctl.demo.progress import Progress
from flipctl.demo.report import Report, show
from flipctl.demo.stack import ADMIN, START_SECONDS, Stack
from flipctl.demo.watch import MemoryWatch
from flipctl.output import JsonFlag, fail, print_json
from flipctl.processes import Processes, ProcessFailedError, descendants

EXAMPLE = "Example: flipctl demo --keep"
ROOT = Path(__file__).resolve().parents[3]
APP = ROOT / "tutorials" / "brain_segmentation"
TRUSTS = ("Trust_1", "Trust_2")
CURVE = "val_dice_global"


def demo(
    folder: Annotated[Path, typer.Option(help="Where to work; emptied at the start, data and results stay.")] = ROOT
    / ".flip"
    / "demo",
    patients: Annotated[int, typer.Option(min=12, help="Labelled patients at each trust.")] = 20,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of federated averaging.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the federation up until Ctrl-C.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Stand up a hub and two trusts on this machine and train on real brain MR, from sign-in to results.

    Everything runs as ordinary processes on the loopback interface. Exit status 0 means that everything held.
    """
    progress = Progress()
    # SIGTERM and a closed terminal end the demo as Ctrl-C does: every process is ended.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))

    def present(report: Report) -> None:
        if as_json:
            print_json(report.as_dict())
        else:
            show(report, CURVE, Console(file=sys.stdout, highlight=False))
        text = json.dumps(report.as_dict(), indent=1, default=str)
        (folder / "report.json").write_text(f"{text}\n")

    try:
        report = _run(folder.resolve(), patients, rounds, keep, progress, present)
    except (DemoError, ApiError, ProcessFailedError, TimeoutError, httpx.HTTPError) as error:
        fail(f"{error}\nThe logs are in {folder / 'logs'}")
    except KeyboardInterrupt:
        progress.say("interrupted; every process was ended")
        raise typer.Exit(130) from None
    left = descendants()
    if left:
        fail(f"processes were left over: {[process.pid for process in left]}")
    if not report.passed:
        fail("something did not hold; see the checks above")


def _run(
    folder: Path, patients: int, rounds: int, keep: bool, progress: Progress, present: Callable[[Report], None]
) -> Report:
    for name in ("hub", "fl-server", "logs", "results", *TRUSTS):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        processes = stack.enter_context(Processes(folder / "logs"))
        memory = stack.enter_context(MemoryWatch(processes))
        federation = stack.enter_context(Stack(folder, processes, TRUSTS))
        with progress.step("hub and FL server start"):
            federation.start_hub()
        with progress.step("brain MR, labels and patient records are made"):
            manifest = _data(folder / "data", patients, progress)
        with progress.step("administrator signs in, registers trusts, makes accounts"):
            people = People(federation.sign_in_admin(), federation.api_url, progress)
            stack.callback(people.close)
            kits = {name: people.register_trust(name) for name in TRUSTS}
            people.make_accounts()
        with progress.step("trusts start, each with its own database, PACS and services"):
            for name in TRUSTS:
                federation.start_trust(name, kits[name], manifest, folder / "data")
            people.wait_for_trusts(START_SECONDS)
        run = _play(people, rounds, folder / "results", progress)
        report = _report(folder, run, progress, memory)
        present(report)
        if keep:
            _keep(federation, people, progress)
    return report


def _data(folder: Path, patients: int, progress: Progress) -> Manifest:
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


def _play(people: People, rounds: int, results: Path, progress: Progress) -> Run:
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
        people.start(model, {"num-server-rounds": rounds, "compare-alone": True}, min_sites=len(TRUSTS))
        run = people.follow(model, CURVE)
        if run.status != "RESULTS_UPLOADED":
            raise DemoError(f"the model ended as {run.status}: {run.job['reason']}")
    with progress.step("researcher downloads the results"):
        people.download(run, results)
    return run


def _report(folder: Path, run: Run, progress: Progress, memory: MemoryWatch) -> Report:
    curve = _series(run, CURVE)
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


def _series(run: Run, label: str) -> dict[str, list[tuple[int, float]]]:
    return {
        series["trust"]: [(point["round"], point["value"]) for point in series["points"]]
        for series in run.metrics
        if series["label"] == label
    }


def _cross_evaluation(run: Run) -> Mapping[str, Mapping[str, float]]:
    models = ["global", *(f"alone_{trust}" for trust in TRUSTS)]
    return {
        model: {trust: points[-1][1] for trust, points in _series(run, f"dice_{model}").items()} for model in models
    }


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

"""What the platform costs a job: the tutorials' tabular app through the hub, and the same app by plain `flwr run`.

    python benchmarks/platform_overhead.py                    # 5 runs of each, 5 rounds, two sites
    python benchmarks/platform_overhead.py --runs 1 --rounds 2 --json
    python benchmarks/platform_overhead.py --flower-pauses    # the platform waits as long as Flower does

Two federations of two sites each stand on this machine at once, with the same rows at their sites:

hub     the platform as `make demo` starts it. A run: the researcher makes a model, uploads the app and starts it by the
        public API, and looks there until it has ended with its results.
plain   Flower's own `flower-superlink`, `flower-supernode` and `flower-superexec` with TLS, authenticated clients and
        process isolation, no other option. A run: `flwr run`, and looks at the SuperLink until it has ended. The app
        is the same, byte for byte; its SDK reads a CSV with the cohort's rows there (laptop mode).

They cannot share a SuperLink: that of the platform takes no run but the hub's. Runs alternate after one of each that
does not count; the final weights of both must be equal. Flower waits up to three seconds between two looks for work,
the platform one second or less: `--flower-pauses` gives both the same pauses, so that what the platform adds is seen.

CPU seconds are those of every process of a federation during the run, with whoever asks. They are read ten times a
second, so the last tenth of a process's life is not counted, in either federation.
"""

import argparse
import json
import os
import platform
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
import numpy as np

from flip import FLIP
from flip_common.appcheck import build_zip
from flip_common.wire import ModelStatus
from flip_fl.certs import make_net_certificates, write_private
from flip_fl.flower.internals import QUIET, Control, normalise_public_key
from flip_fl.processes import child_environment
from flip_fl.site_key import ensure_site_key
from flipctl import envfile
from flipctl.api import wait_for
from flipctl.data import generate
from flipctl.demo.play import People
from flipctl.demo.progress import Progress
from flipctl.demo.stack import START_SECONDS, Stack, free_port
from flipctl.processes import Processes

GOAL = 1.10
APP = Path(__file__).resolve().parents[1] / "tutorials" / "tabular"
TRUSTS = ("Trust_1", "Trust_2")
QUERY = (
    "SELECT p.person_id, p.year_of_birth, p.gender_concept_id, count(DISTINCT v.visit_occurrence_id) AS visits, "
    "max(CASE WHEN c.condition_concept_id = 316866 THEN 1 ELSE 0 END) AS has_condition "
    "FROM omop.person p JOIN omop.visit_occurrence v ON v.person_id = p.person_id "
    "LEFT JOIN omop.condition_occurrence c ON c.person_id = p.person_id "
    "GROUP BY p.person_id, p.year_of_birth, p.gender_concept_id"
)
JOB_SECONDS, IDLE_SECONDS, SAMPLE_SECONDS = 900, 15, 0.1
FLOWER_PAUSE = "3"
TICKS = os.sysconf("SC_CLK_TCK")


class CpuWatch:
    """CPU time of all descendants, the ended ones included, by the child of this process that they come from.

    What a process waited for says nothing of children that the kernel buries, so each is read while it lives.
    """

    def __init__(self) -> None:
        self._ticks: dict[tuple[int, str], tuple[int, int]] = {}  # pid and start → top process's pid, ticks
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._run, name="cpu", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def seconds(self, tops: Callable[[int], bool]) -> float:
        """CPU seconds so far of what comes from the children whose pid `tops` accepts."""
        self._sample()
        with self._lock:
            return sum(ticks for top, ticks in self._ticks.values() if tops(top)) / TICKS

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        seen: dict[int, tuple[int, str, int]] = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    line = Path(f"/proc/{name}/stat").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it ended between the listing and the look
                # The name, in parentheses, may hold anything; behind it stand the state, the parent and numbers.
                rest = line.rpartition(")")[2].split()
                seen[int(name)] = (int(rest[1]), rest[19], int(rest[11]) + int(rest[12]))
        with self._lock:
            for pid, (_, start, ticks) in seen.items():
                known = self._ticks.get((pid, start))
                top = known[0] if known else _top(pid, seen)
                if top is not None:
                    self._ticks[pid, start] = (top, ticks)


def _top(pid: int, seen: dict[int, tuple[int, str, int]]) -> int | None:
    """The child of this process from which a process descends."""
    while pid in seen:
        parent = seen[pid][0]
        if parent == os.getpid():
            return pid
        pid = parent
    return None


@dataclass
class Arm:
    """One of the two, and what its runs took: wall and CPU seconds. `run` returns the final weights."""

    run: Callable[[], list[float]]
    mine: Callable[[int], bool]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    idle: float = 0.0

    def measure(self, watch: CpuWatch) -> list[float]:
        """One run."""
        began, spent = time.perf_counter(), watch.seconds(self.mine)
        asking = time.thread_time()  # whoever asks is this thread
        weights = self.run()
        asking = time.thread_time() - asking
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(watch.seconds(self.mine) - spent + asking)
        return weights


class Hub:
    """The platform, used through its public API."""

    def __init__(self, stack: Stack, processes: Processes, run_config: dict[str, int], *, flower_pauses: bool) -> None:
        self.stack, self.processes, self.run_config = stack, processes, run_config
        self._slow = flower_pauses

    def start(self, progress: Progress) -> None:
        """Up to a project whose cohort every trust has approved."""
        self.stack.start_hub()
        manifest = generate(self.stack.folder / "data", TRUSTS, 1)
        self.people = People(self.stack.sign_in_admin(), self.stack.api_url, progress)
        if self._slow:
            self._again("fl-server", "fl-server", "FL_GRID_POLL_SECONDS")
        kits = {name: self.people.register_trust(name) for name in TRUSTS}
        self.people.make_accounts()
        for name in TRUSTS:
            self.stack.start_trust(name, kits[name], manifest, self.stack.folder / "data")
            if self._slow:
                self._again(f"{name}.fl-client", name, "FL_POLL_SECONDS")
        self.people.wait_for_trusts(START_SECONDS)
        self.project = self.people.new_project()
        self.people.approve(self.project, self.people.query_cohort(self.project, "visits", QUERY)["id"])

        def frozen() -> bool | None:
            trusts = self.people.researcher.get(f"/projects/{self.project}")["trusts"]
            return True if all(trust["cohort_state"] == "FROZEN" for trust in trusts) else None

        wait_for("frozen cohorts", frozen, START_SECONDS)

    def _again(self, process: str, folder: str, setting: str) -> None:
        running = self.processes.running[process]
        running.terminate()
        running.wait()
        envfile.update(self.stack.folder / folder / f"{process.rpartition('.')[2]}.env", {setting: FLOWER_PAUSE})
        self.stack.start(process)

    def rows(self, trust: str) -> str:
        """The cohort as an app sees it at the trust, as CSV."""
        site = envfile.read(self.stack.folder / trust / "fl-client.env")
        names = ("DATA_ACCESS_API_URL", "IMAGING_API_URL", "IMAGES_DIR")
        environment = {name: site[name] for name in names}
        environment["TRUST_INTERNAL_SERVICE_KEY"] = site["TRUST_APP_SERVICE_KEY"]
        return str(FLIP(environment).get_dataframe(self.project, QUERY).to_csv(index=False))

    def run(self) -> list[float]:
        """A model from nothing to its results; returns the weights it ended with."""
        caller = self.people.researcher
        model = caller.post(f"/projects/{self.project}/models", {"name": "platform overhead"})["id"]
        caller.put_file(f"/models/{model}/app", build_zip(APP))
        caller.post(f"/models/{model}/start", {"run_config": self.run_config, "min_sites": len(TRUSTS)})

        def look() -> dict[str, Any] | None:
            self.processes.check()
            seen: dict[str, Any] = caller.get(f"/models/{model}")
            return seen if ModelStatus(seen["status"]).terminal and seen["job"]["ended_at"] else None

        ended = wait_for("the job's end", look, JOB_SECONDS)
        if ended["status"] != "RESULTS_UPLOADED":
            raise RuntimeError(f"the job through the hub ended as {ended['status']}: {ended['job']['reason']}")
        path = self.stack.folder / "results" / f"{model}.json"
        return _weights(caller.download(f"/models/{model}/results/weights.json", path))


class Plain:
    """Flower's own programs, as its documentation starts them."""

    def __init__(self, folder: Path, processes: Processes, run_config: dict[str, int], *, poll: str) -> None:
        self.folder, self.processes, self.run_config = folder, processes, run_config
        self.pids: set[int] = set()
        folder.mkdir()
        self._bin = Path(sys.executable).parent
        settings = {"HOME": str(folder), "FLWR_HOME": str(folder), "LOCAL_DEV": "true", "DEV_OUTPUT_DIR": str(folder)}
        # Nothing is installed at run time and nobody called; neither belongs to the comparison.
        self._env = child_environment({**settings, **QUIET})
        # A SuperExec looks there for the programs of apps.
        self._env["PATH"] = f"{self._bin}{os.pathsep}{self._env.get('PATH', os.defpath)}"
        if poll:
            self._env["FLWR_SUPEREXEC_TASK_POLL_INTERVAL"] = poll

    def start(self, rows: dict[str, str]) -> None:
        """SuperLink, and for each site its rows (CSV) and a SuperNode, with a SuperExec beside each."""
        self._tls = make_net_certificates(self.folder / "tls")
        port = free_port()
        address = f"127.0.0.1:{port}"
        connection = f'address = "{address}"\nroot-certificates = "{self._tls.ca}"\n'
        (self.folder / "config.toml").write_text(f'[superlink]\ndefault = "plain"\n[superlink.plain]\n{connection}')
        files = {"certfile": self._tls.cert, "keyfile": self._tls.key, "ca-certfile": self._tls.ca}
        options = [*(f"--ssl-{name}={path}" for name, path in files.items()), f"--port={port}"]
        options += ["--enable-supernode-auth", f"--database={self.folder / 'state.db'}"]
        secret = self._runtime("superlink", [*options, "--disable-runtime-dependency-installation"])
        self._control = Control(address, self._tls.ca, "x-none", "none")
        self.processes.wait_until("the plain SuperLink answers", lambda: self._members() is not None, START_SECONDS)
        root = f"--root-certificates={self._tls.ca}"
        self._superexec("superlink", [f"--runtime-api-address={address}", root, secret], {})
        for name, table in rows.items():
            (self.folder / f"{name}.csv").write_text(table)
            key, inside = self.folder / f"{name}.key", free_port()
            self._control.register(normalise_public_key(ensure_site_key(key)), name)
            options = [root, f"--superlink={address}", f"--auth-supernode-private-key={key}", f"--port={inside}"]
            secret = self._runtime("supernode", options, name)
            own = {"SUPERNODE_NAME": name, "DEV_DATAFRAME": str(self.folder / f"{name}.csv")}
            self._superexec(name, [f"--runtime-api-address=127.0.0.1:{inside}", "--insecure", secret], own)
        self.processes.wait_until("plain SuperNodes are online", lambda: self._members() == len(rows), START_SECONDS)

    def _runtime(self, program: str, options: list[str], name: str = "") -> str:
        file = self.folder / f"{name or program}.secret"
        write_private(file, secrets.token_bytes(32))
        secret = f"--superexec-auth-secret-file={file}"
        self._process(f"plain.{name or program}", f"flower-{program}", [*options, "--isolation=process", secret], {})
        return secret

    def _superexec(self, name: str, options: list[str], env: dict[str, str]) -> None:
        self._process(f"plain.{name}.superexec", "flower-superexec", options, env)

    def _process(self, name: str, program: str, options: list[str], env: dict[str, str]) -> None:
        self.pids.add(self.processes.start(name, [str(self._bin / program), *options], self._env | env).pid)

    def _members(self) -> int | None:
        """How many SuperNodes are online; None while the SuperLink is not."""
        try:
            return sum(member.online for member in self._control.members())
        except httpx.HTTPError:
            return None

    def run(self) -> list[float]:
        """`flwr run` until the run has ended; returns the weights it ended with."""
        model = str(uuid4())
        ids = f'flip-model-id="{model}" flip-project-id="{uuid4()}" flip-min-clients={len(TRUSTS)}'
        config = " ".join([ids, *(f"{name}={value}" for name, value in self.run_config.items())])
        command = [str(self._bin / "flwr"), "run", str(APP), "plain", "--run-config", config, "--format", "json"]
        process = subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pids.add(process.pid)
        output, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"flwr run ended with status {process.returncode}: {output}{errors}")
        run_id = int(json.loads(output)["run-id"])

        def look() -> str | None:
            self.processes.check()
            run = self._control.run(run_id)
            return run.sub_status if run and run.status == "finished" else None

        if (ended := wait_for("the plain run's end", look, JOB_SECONDS)) != "completed":
            raise RuntimeError(f"the plain run ended as {ended}; the logs are in {self.processes.log_dir}")
        return _weights(self.folder / "results" / model / "weights.json")


def _weights(path: Path) -> list[float]:
    return list(json.loads(path.read_text()).values())


def measure(hub: Hub, plain: Plain, runs: int, progress: Progress) -> dict[str, Arm]:
    """Both, warmed up, in turn."""
    arms = {
        "hub": Arm(hub.run, lambda pid: pid not in plain.pids),
        "plain": Arm(plain.run, lambda pid: pid in plain.pids),
    }
    with CpuWatch() as watch:
        for number in range(runs + 1):
            weights = {}
            for name, arm in arms.items():
                weights[name] = arm.measure(watch)
                progress.say(
                    f"  {name:5} {arm.wall[-1]:6.1f} s, {arm.cpu[-1]:6.1f} s CPU{'' if number else ', warm-up'}"
                )
            if not np.allclose(weights["hub"], weights["plain"], rtol=1e-6, atol=1e-9):
                raise RuntimeError(f"the two did not compute the same: {weights}")
        before = {name: watch.seconds(arm.mine) for name, arm in arms.items()}
        time.sleep(IDLE_SECONDS)
        for name, arm in arms.items():
            arm.idle = (watch.seconds(arm.mine) - before[name]) / IDLE_SECONDS
            del arm.wall[0], arm.cpu[0]
    return arms


def report(arms: dict[str, Arm], arguments: argparse.Namespace, load: float) -> dict[str, Any]:
    """All figures; seconds, and ratios hub to plain."""
    document: dict[str, Any] = {}
    for name, arm in arms.items():
        medians = {"wall_median": statistics.median(arm.wall), "cpu_median": statistics.median(arm.cpu)}
        document[name] = medians | {"idle_cpu_per_second": arm.idle, "wall": arm.wall, "cpu": arm.cpu}
    for what in ("wall", "cpu"):
        document[f"{what}_ratio"] = document["hub"][f"{what}_median"] / document["plain"][f"{what}_median"]
    cores, python = os.cpu_count(), platform.python_version()
    machine = f"{platform.machine()}, {cores} cores, load {load:.1f} before, Python {python}"
    asked = {name: getattr(arguments, name) for name in ("runs", "rounds", "steps", "flower_pauses")}
    return document | asked | {"goal": GOAL, "machine": machine}


def show(document: dict[str, Any]) -> None:
    """The figures as text."""
    for name in ("hub", "plain"):
        arm = document[name]
        wall = f"{arm['wall_median']:.1f} s ({min(arm['wall']):.1f} to {max(arm['wall']):.1f})"
        cpu = f"CPU {arm['cpu_median']:.1f} s ({min(arm['cpu']):.1f} to {max(arm['cpu']):.1f})"
        print(f"{name:5}  median {wall}, {cpu}, {arm['idle_cpu_per_second']:.3f} s CPU a second when idle")
    print(f"wall ratio {document['wall_ratio']:.2f} (goal {GOAL} at most), CPU ratio {document['cpu_ratio']:.2f}")
    pauses = "the same pauses in both" if document["flower_pauses"] else "each with its own pauses"
    print(f"{document['runs']} runs, {document['rounds']} rounds of {document['steps']} steps, two sites, {pauses}")
    print(f"machine: {document['machine']}")


def main() -> None:
    example = "Example: python benchmarks/platform_overhead.py --runs 1 --rounds 2 --json"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], epilog=example)
    parser.add_argument("--runs", type=int, default=5, help="runs of each that count (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of federated averaging (default 5)")
    parser.add_argument("--steps", type=int, default=60_000, help="steps a round, some 13 µs each (default 60000)")
    parser.add_argument("--flower-pauses", action="store_true", help="the platform looks for work as rarely as Flower")
    parser.add_argument("--folder", type=Path, help="new folder to work in and leave behind, with the logs")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    arguments = parser.parse_args()
    if min(arguments.runs, arguments.rounds, arguments.steps) < 1:
        parser.error("--runs, --rounds and --steps are 1 at least")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    run_config = {"num-server-rounds": arguments.rounds, "local-steps": arguments.steps}
    load, progress = os.getloadavg()[0], Progress()
    with ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flip-bench-")))
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711)  # started by root, PostgreSQL runs as a user of its own
        processes = stack.enter_context(Processes(folder / "logs"))
        federation = stack.enter_context(Stack(folder / "hub-and-trusts", processes, TRUSTS))
        federation.folder.mkdir(mode=0o711)
        hub = Hub(federation, processes, run_config, flower_pauses=arguments.flower_pauses)
        plain = Plain(folder / "plain", processes, run_config, poll="0.25" if arguments.flower_pauses else "")
        with progress.step("the platform starts"):
            hub.start(progress)
            stack.callback(hub.people.close)
        with progress.step("plain Flower starts"):
            plain.start({name: hub.rows(name) for name in TRUSTS})
        with progress.step(f"{arguments.runs} runs of each"):
            document = report(measure(hub, plain, arguments.runs, progress), arguments, load)
    if arguments.json:
        print(json.dumps(document, indent=2))
    else:
        show(document)
    raise SystemExit(document["wall_ratio"] > GOAL)


if __name__ == "__main__":
    main()

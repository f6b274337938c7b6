"""What must not break a federation that runs: every host is restarted, a trust loses its network."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from federation import onboard, router, sites
from federation.plan import Site
from flipctl.api import wait_for
from flipctl.demo.checks import Check
from flipctl.demo.play import People, Run
from flipctl.demo.run import APP, CURVE

BACK_SECONDS = 600
METRIC_SECONDS = 300
_DONE = "RESULTS_UPLOADED"


class Trials:
    """Trials of a federation in which a job has run before."""

    def __init__(self, people: People, before: Run, rounds: int) -> None:
        self._people, self._before, self._rounds = people, before, rounds

    def restart(self, hosts: Sequence[Site], hub_ca: Path) -> list[Check]:
        """All hosts go down and come up at once; nobody helps them, and another job runs."""
        began = time.monotonic()
        sites.restart(hosts)
        booted, since = time.monotonic() - began, datetime.now(UTC)
        onboard.wait_for_hub(hub_ca)
        wait_for("every trust asks the hub again", lambda: self._heard(since), BACK_SECONDS)
        self._people.wait_for_trusts(BACK_SECONDS)
        online = time.monotonic() - began
        found = [well(host, "a restart") for host in hosts]
        again = self._follow(self._start())
        told = f"booted after {booted:.0f} s, online after {online:.0f} s; the next job ended as {again.status}"
        return [
            *found,
            Check("after a restart of every host the next job ends with results", again.status == _DONE, told),
        ]

    def _heard(self, since: datetime) -> bool | None:
        told = [trust["last_heartbeat_at"] for trust in self._people.admin.get("/trusts")]
        return all(at and datetime.fromisoformat(at) > since for at in told) or None

    def cut(self, trust: Site, seconds: float) -> Check:
        """A trust's network is cut for so long in the middle of a job."""
        model = self._start()
        wait_for("the job's first metric", lambda: self._metrics(model), METRIC_SECONDS)
        router.cut(trust)
        try:
            time.sleep(seconds)
        finally:
            router.mend(trust)
        began, since = time.monotonic(), datetime.now(UTC)
        wait_for("every trust asks the hub again", lambda: self._heard(since), BACK_SECONDS)
        self._people.wait_for_trusts(BACK_SECONDS)
        online = time.monotonic() - began
        ended = self._follow(model)
        told = f"cut for {seconds:.0f} s, online {online:.0f} s after; the job that ran ended as {ended.status}"
        if ended.status != _DONE:
            ended = self._follow(self._start())
            told += f", the next one as {ended.status}"
        return Check("a trust that lost its network comes back by itself", ended.status == _DONE, told)

    def train(self, after: str, *, without_images: bool = False) -> list[Check]:
        """Another job ends with results; where a trust's images are lost, they are asked for again before."""
        since = datetime.now(UTC)
        wait_for("every trust asks the hub again", lambda: self._heard(since), BACK_SECONDS)
        self._people.wait_for_trusts(BACK_SECONDS)
        if without_images:
            self._reimport(self._project)
        ended = self._follow(self._start())
        told = f"it ended as {ended.status}"
        return [Check(f"after {after} the next job ends with results", ended.status == _DONE, told)]

    def _reimport(self, project: str) -> None:
        researcher, since = self._people.researcher, datetime.now(UTC)
        researcher.post(f"/projects/{project}/imaging/reimport")

        def answered() -> bool | None:
            told = [row["at"] for row in researcher.get(f"/projects/{project}/imaging")]
            return all(at and datetime.fromisoformat(at) > since for at in told) or None

        wait_for("every trust imports again", answered, BACK_SECONDS)
        self._people.wait_for_images(project)

    @property
    def _project(self) -> str:
        return str(self._people.researcher.get(f"/models/{self._before.model_id}")["project_id"])

    def _metrics(self, model: str) -> list[object] | None:
        return self._people.researcher.get(f"/models/{model}/metrics") or None

    def _start(self) -> str:
        people = self._people
        model = people.upload_app(self._project, APP, "U-Net, once more")
        people.start(
            model, {"num-server-rounds": self._rounds, "compare-alone": False}, min_sites=len(people.trust_ids)
        )
        return model

    def _follow(self, model: str) -> Run:
        return self._people.follow(model, CURVE)


def well(host: Site, after: str, look: Callable[[Site], str] = sites.complaint, seconds: float = BACK_SECONDS) -> Check:
    """Whether `flipctl status` has nothing to say against a host, as soon as it has not."""
    deadline = time.monotonic() + seconds
    while (wrong := look(host)) and time.monotonic() < deadline:
        time.sleep(2)
    return Check(f"after {after} all is well on {host.name}", not wrong, wrong or "flipctl status finds nothing wrong")

"""The federation from the first image to the evidence, phase by phase."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from federation import airlock, data, images, onboard, packages, pacs, playbooks, proxy, router, sites
from federation.day_two import MOVED, DayTwo, move_hub
from federation.docker import FederationError, inside, remove_all
from federation.evidence import Evidence, alike, reached, small, unchanged
from federation.interrupt import Moment, interrupted, moments
from federation.plan import FOLDER, HUB, PREMISES, TRE, Site
from federation.playbooks import Order
from federation.trials import Trials
from flipctl.api import Api, ApiError
from flipctl.demo import checks
from flipctl.demo.play import DemoError, People, Run
from flipctl.demo.progress import Progress
from flipctl.demo.run import CURVE, play, series
from flipctl.images_list import checkout, load, tag, version
from host_images import STAND_INS, StepError, bare_host
from run import set_up

FAILURES = (FederationError, StepError, DemoError, ApiError, TimeoutError, httpx.HTTPError)
HUB_IMAGES = ["fl-server", "hub", "omop-db"]
TRUST_IMAGES = ["data-access-api", "fl-client", "imaging-api", "omop-db", "orthanc", "trust-api"]
ONLINE_SECONDS = 120
INTERRUPTED = TRE
BARE = "/opt/flip /etc/flip /etc/docker"  # what a first run makes


@dataclass(frozen=True)
class Wishes:
    """What was asked for."""

    patients: int
    rounds: int
    build: bool
    keep: bool
    reboot: bool
    day_two: bool
    cut_seconds: int
    interrupts: int
    seed: int
    suites: Mapping[str, str]
    """What each site's bare host is, by the site's name."""
    trusts: Sequence[Site]

    @property
    def sites(self) -> Sequence[Site]:
        """The hub, then the trusts."""
        return (HUB, *self.trusts)


def federate(wishes: Wishes, progress: Progress, present: Callable[[Evidence], None]) -> Evidence:
    """Stands everything up, plays a job through it, shows the evidence and removes everything.

    Raises:
        FAILURES: something did not work; the text says what.
    """
    with _alone():
        if removed := remove_all():
            progress.say(f"an earlier federation is removed: {len(removed)} containers and networks")
        for name in ("kits", "logs", "results", "states"):
            if (FOLDER / name).exists():
                shutil.rmtree(FOLDER / name)
        federation = Federation(wishes, progress)
        try:
            federation.stand_up()
            federation.work()
            federation.conclude()
            present(federation.evidence)
            return federation.evidence
        finally:
            federation.close()
            if wishes.keep:
                progress.say("the federation stays up; the next `make federation` removes it")
            else:
                with progress.step("what was made is removed"):
                    remove_all()


@contextmanager
def _alone() -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FederationError(f"a federation is being made on this machine ({lock.name} is held)") from None
        yield


class Federation:
    """One federation, as it comes up."""

    def __init__(self, wishes: Wishes, progress: Progress) -> None:
        self.wishes, self.progress = wishes, progress
        self.evidence = Evidence(progress.durations, {site.name: wishes.suites[site.name] for site in wishes.sites})
        self._people: People | None = None
        self._listed = load(checkout())
        self._release = version(checkout())

    def close(self) -> None:
        """Ends the people's connections."""
        if self._people:
            self._people.close()

    def stand_up(self) -> None:
        """Images, data, networks, hosts, playbooks: afterwards the trusts are online."""
        self._prepare()
        self._sites()
        with self.progress.step("the hub is provisioned, after a dry run"):
            self._try("site_hub", HUB)
            self._play(Order("hub", "site_hub", self._options()))
        with self.progress.step("the hub's engineer makes the administrator and onboards the trusts"):
            ca = onboard.hub_ca()
            admin = onboard.make_admin(ca)
            onboard.onboard(self.wishes.trusts, ca, onboard.password_file().read_text(encoding="ascii"))
            self._people = self._invite(admin, ca)
        if proxied := [trust for trust in self.wishes.trusts if trust.proxied]:
            with self.progress.step("proxies of hospitals come up"):
                for trust in proxied:
                    sites.prove_way_out(trust)
                    proxy.raise_proxy(trust, self._tools, ca.read_text(encoding="ascii"))
        with self.progress.step("a dry run on the trusts' bare hosts"):
            self._try("site_local_trust", *self.wishes.trusts)
        with self.progress.step("the trusts are provisioned, at the same time"):
            self._play(*(Order(trust.name, "site_local_trust", self._options(trust)) for trust in self.wishes.trusts))
        with self.progress.step("the trusts and their FL clients are online"):
            self.people.wait_for_trusts(ONLINE_SECONDS)
        if self.wishes.interrupts:
            with self.progress.step(f"{INTERRUPTED.name} is made anew, and its provisioning killed"):
                self._interrupt(INTERRUPTED)

    @property
    def people(self) -> People:
        """Everyone who takes part."""
        if self._people is None:
            raise FederationError("nobody has signed in yet")
        return self._people

    def _prepare(self) -> None:
        with self.progress.step("images are those of this checkout, Ansible is there"):
            if self.wishes.build:
                images.build(sorted({*HUB_IMAGES, *TRUST_IMAGES}), self._listed.base)
            set_up()
            hosts = {suite: bare_host(suite) for suite in {self.wishes.suites[site.name] for site in self.wishes.sites}}
            self._hosts = {site.name: hosts[self.wishes.suites[site.name]] for site in self.wishes.sites}
            self._tools = images.tools()
            self._archives = images.archives(sorted(self._archived()))
        for trust in (trust for trust in self.wishes.trusts if trust.airlocked):
            with self.progress.step(f"a signed bundle is packed for {trust.name}"):
                size = airlock.pack(self._release, TRUST_IMAGES, self.wishes.suites[trust.name])
                self.progress.say(f"  {size / 1e6:.0f} MB")
        named = "packages for hosts without internet and the patients' data are made"
        with self.progress.step(named), ThreadPoolExecutor() as pool:
            fetched = pool.map(packages.fetch, hosts.keys(), hosts.values())
            self._studies = data.make(self.wishes.trusts, self.wishes.patients, self._image("omop-db"), self.progress)
            self._packages = dict(zip(hosts, fetched, strict=True))

    def _archived(self) -> set[str]:
        """Images that hosts take from archives: all that no bundle brings."""
        if all(trust.airlocked for trust in self.wishes.trusts):
            return set(HUB_IMAGES)
        return {*HUB_IMAGES, *TRUST_IMAGES, *STAND_INS}

    def _image(self, name: str) -> str:
        return tag(self._listed, name, self._release)

    def _sites(self) -> None:
        with self.progress.step("networks, router, PACS and bare hosts come up"):
            sites.make_networks(self.wishes.sites)
            for site in self.wishes.sites:
                mirror = self._packages[self.wishes.suites[site.name]]
                packages.give(site, mirror)
                sites.make_services(site, self._tools, mirror)
            router.raise_router(self._tools, self.wishes.sites)
            for trust in self.wishes.trusts:
                count = pacs.raise_pacs(trust, self._image("orthanc"), self._studies / trust.trust)
                self.progress.say(f"  {trust.trust}'s PACS has {count} images")
            for site in self.wishes.sites:
                self._make_host(site)
            proof = sites.prove_router(self.wishes.sites)
            refused = sum(count.packets for name, count in proof.items() if "refused" in name)
            self.progress.say(f"  the router was tried: {refused} packets refused, and counted")

    def _make_host(self, site: Site) -> None:
        sites.make_host(site, self._hosts[site.name], self._archives)

    def _options(self, *sites_: Site) -> tuple[str, ...]:
        limit = ("--limit", ",".join(site.name for site in sites_)) if sites_ else ()
        return ("-e", f"federation_release={self._release}", *limit)

    def _try(self, playbook: str, *hosts: Site) -> None:
        """A dry run on bare hosts, at the same time, comes to its end and leaves them bare."""
        orders = [Order(f"{host.name}.dry", playbook, (*self._options(host), "--check", "--diff")) for host in hosts]
        for host, played in zip(hosts, playbooks.play(*orders).values(), strict=True):
            there = inside(host.container(), "sh", "-c", f"for it in {BARE}; do [ ! -e $it ] || echo $it; done").split()
            told = f"{played.recaps[host.name].changed} changes told in {played.seconds:.0f} s"
            found = "; ".join([told, *(f"{path} is there" for path in there)])
            self.evidence.checks.append(checks.Check(f"a dry run leaves {host.name} bare", not there, found))

    def _play(self, *orders: Order) -> None:
        for name, played in playbooks.play(*orders).items():
            self.evidence.first[name] = played
            for host, recap in played.recaps.items():
                self.progress.say(f"  {host}: ok={recap.ok} changed={recap.changed} in {played.seconds:.0f} s")

    def _interrupt(self, site: Site) -> None:
        first = self.evidence.first[site.name]
        began = playbooks.started(first.log.read_text(encoding="utf-8"))
        wanted = sites.state(site)
        sites.remove_host(site)
        self._make_host(site)
        self.progress.say(f"  the moments are those of --seed {self.wishes.seed}")
        killed = 0
        for number, moment in enumerate(moments(began, first.seconds, self.wishes.interrupts, self.wishes.seed), 1):
            # A run may be through with a task before its moment: then the next one is killed as the task begins.
            for attempt in (moment, Moment(moment.task, 0.0)):
                where = f"in task {attempt.task} of {len(began)}, {attempt.seconds:.1f} s after it began"
                name = f"{site.name}.killed.{number}.{attempt.seconds:.1f}"
                if interrupted(Order(name, "site_local_trust", self._options(site)), attempt):
                    killed += 1
                    self.evidence.kills.append(where)
                    self.progress.say(f"  killed {where}")
                    break
                self.progress.say(f"  not killed {where}: the run was at its end before")
        self._play(Order(f"{site.name}.completed", "site_local_trust", self._options(site)))
        self.people.wait_for_trusts(ONLINE_SECONDS)
        found = sites.state(site)
        for name, state in {"undisturbed": wanted, "killed": found}.items():
            path = FOLDER / "states" / f"{site.name}.{name}.json"
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
        self.evidence.checks.append(alike(site, killed, wanted, found))

    def _invite(self, admin: Api, ca: Path) -> People:
        people = People(admin, onboard.API, self.progress, ca)
        known = {trust["name"]: trust["trust_id"] for trust in admin.get("/trusts")}
        people.trust_ids = {trust.trust: known[trust.trust] for trust in self.wishes.trusts}
        people.make_accounts()
        return people

    def work(self) -> None:
        """The people's parts, as in the demo; then what was wished besides."""
        rounds, results = self.wishes.rounds, FOLDER / "results"
        done = play(self.people, rounds, results, self.progress, compare_alone=False)
        self.evidence.results = list(done.results.values())
        self.evidence.checks += self._learned(done)
        trials = Trials(self.people, done, rounds)
        if self.wishes.reboot:
            with self.progress.step("every host is restarted, and trains again"):
                self.evidence.checks += trials.restart(self.wishes.sites, onboard.hub_ca())
        if self.wishes.day_two:
            with self.progress.step(f"{TRE.name} is upgraded, goes back, and is restored onto another host"):
                self.evidence.checks += self._day_two(TRE, trials)
            with self.progress.step("the hub is restored onto another host"):
                self.evidence.checks += move_hub(self._make_host, self._release)
                self.evidence.checks += trials.train("the hub's restore onto another host")
        if self.wishes.cut_seconds:
            with self.progress.step(f"a trust has no network for {self.wishes.cut_seconds} s during a job"):
                self.evidence.checks.append(trials.cut(PREMISES, self.wishes.cut_seconds))

    def _day_two(self, site: Site, trials: Trials) -> list[checks.Check]:
        day = DayTwo(site, self._release, self._make_host)
        found = []
        for verb in (
            partial(day.upgrade, TRUST_IMAGES, self.wishes.suites[site.name]),
            day.go_back,
            partial(trials.train, "the way back"),
            day.move,
            partial(trials.train, MOVED, without_images=True),
        ):
            found += verb()
            self.progress.say(f"  {found[-1].name}: {found[-1].found}")
        return found

    def _learned(self, done: Run) -> list[checks.Check]:
        initial, final = (checks.load(done.results[f"{name}.npz"]) for name in ("initial", "final"))
        summary = json.loads(done.results["metrics.json"].read_text(encoding="utf-8"))
        last = {trust.trust: checks.load(done.results[f"local_{trust.trust}.npz"]) for trust in self.wishes.trusts}
        logs = {trust.trust: _site_log(trust) for trust in self.wishes.trusts}
        found = f"{len(done.results)} files, {sum(path.stat().st_size for path in done.results.values())} bytes"
        return [
            checks.Check("the results lie at the hub", bool(done.results), found),
            checks.rises(series(done, CURVE), CURVE),
            checks.weights_changed(initial, final),
            checks.is_weighted_mean(final, last, summary["num_examples"]),
            checks.metrics_match(done.metrics, logs),
            checks.Check("no client failed", not done.job["failures"], f"failures: {done.job['failures'] or 'none'}"),
        ]

    def conclude(self) -> None:
        """The playbooks run again and change nothing; the router's counters are read last."""
        without_xnat = [trust for trust in self.wishes.trusts if trust.store != "xnat"]
        self.evidence.checks += [small(trust, sites.memory(trust)) for trust in without_xnat]
        again = [Order("hub.second", "site_hub", self._options())]
        again += [
            Order(f"{trust.name}.second", "site_local_trust", self._options(trust)) for trust in self.wishes.trusts
        ]
        with self.progress.step("the playbooks run a second time, at the same time"):
            self.evidence.second = playbooks.play(*again)
        self.evidence.checks += unchanged(self.evidence.second)
        self.evidence.counters, self.evidence.refused = router.read(), router.refused()
        self.evidence.hosts = {site.name: sites.firewall_counters(site) for site in self.wishes.sites}
        self.evidence.checks += reached(self.evidence.counters, self.wishes.trusts, self.evidence.refused)
        self.evidence.checks += [proxy.passed(trust) for trust in self.wishes.trusts if trust.proxied]
        self.evidence.seconds = self.progress.elapsed


def _site_log(trust: Site) -> str:
    """What the trust's apps wrote; it never left the host but for this check."""
    return inside(trust.container(), "find", "/opt/flip/fl", "-name", "*.log", "-exec", "cat", "{}", "+")

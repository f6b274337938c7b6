"""`python -m federation`: what `make federation` calls."""

import secrets
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from federation.evidence import Evidence, save, show
from federation.plan import FOLDER, PREMISES, SITES, TRE, TRUSTS, Site
from federation.run import FAILURES, Wishes, federate
from flipctl.demo.progress import Progress
from flipctl.output import fail
from host_images import SUITES

NAMES = [site.name for site in SITES]


def _suites(told: str) -> dict[str, str]:
    """The suite of each site's host."""
    given = told.split(",")
    if unknown := sorted(set(given) - SUITES.keys()):
        fail(f"--suites: {', '.join(unknown)} is none of {', '.join(SUITES)}", 2)
    if len(given) not in (1, len(NAMES)):
        fail(f"--suites: one suite for all hosts, or {len(NAMES)}: for {', '.join(NAMES)}", 2)
    return dict(zip(NAMES, given if len(given) > 1 else given * len(NAMES), strict=True))


def _trusts(only: str, **wishes: tuple[Site, bool]) -> tuple[Site, ...]:
    """The trusts that take part; each of `wishes` says at which one it is done, and whether it was asked for."""
    found = tuple(trust for trust in TRUSTS if only in ("", trust.name))
    if not found:
        fail(f"--only: {only} is none of {', '.join(trust.name for trust in TRUSTS)}", 2)
    for wish, (trust, asked) in wishes.items():
        if asked and trust not in found:
            fail(f"--{wish.replace('_', '-')} is done at {trust.name}, which --only {only} leaves out", 2)
    return found


def main(
    patients: Annotated[int, typer.Option(min=12, help="Labelled patients at each trust.")] = 12,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of federated averaging.")] = 3,
    build: Annotated[
        bool, typer.Option(help="Build images of this checkout; else those of its release are used.")
    ] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up.")] = False,
    reboot: Annotated[bool, typer.Option("--reboot", help="Restart every host and train again.")] = False,
    day_two: Annotated[
        bool,
        typer.Option(
            "--day-two", help="Upgrade a trust's host, go back; restore its backup, and the hub's, onto other hosts."
        ),
    ] = False,
    cut_network: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="Cut a trust's network for so long during a job.")
    ] = 0,
    interrupt: Annotated[
        int, typer.Option(min=0, metavar="TIMES", help="Kill a trust's provisioning so often; then compare.")
    ] = 0,
    suites: Annotated[
        str,
        typer.Option(metavar="SUITE[,SUITE,SUITE]", help=f"What all bare hosts are, or each of {', '.join(NAMES)}."),
    ] = "bookworm",
    only: Annotated[str, typer.Option(metavar="TRUST", help="Have the hub and this trust alone.")] = "",
    seed: Annotated[
        int | None, typer.Option(help="Of the random moments at which it is killed; one that was told, to repeat them.")
    ] = None,
) -> None:
    """A hub and two trusts on bare hosts of this machine, provisioned by the playbooks, train together.

    Needs Docker and root. Exit status 0 means that everything held.
    """
    progress = Progress()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))

    def present(evidence: Evidence) -> None:
        show(evidence, Console(file=sys.stdout, highlight=False))
        save(evidence, FOLDER / "evidence.json")

    drawn = secrets.randbelow(1_000_000) if seed is None else seed
    trusts = _trusts(
        only, day_two=(TRE, day_two), interrupt=(TRE, interrupt > 0), cut_network=(PREMISES, cut_network > 0)
    )
    of_hosts = _suites(suites)
    wishes = Wishes(patients, rounds, build, keep, reboot, day_two, cut_network, interrupt, drawn, of_hosts, trusts)
    try:
        evidence = federate(wishes, progress, present)
    except FAILURES as error:
        fail(f"{error}\nThe logs are in {FOLDER / 'logs'}")
    except KeyboardInterrupt:
        progress.say("interrupted")
        raise typer.Exit(130) from None
    if not evidence.passed:
        fail("something did not hold; see the checks above")


if __name__ == "__main__":
    typer.run(main)

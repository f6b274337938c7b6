"""`python -m federation`: what `make federation` calls."""

import secrets
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from federation.evidence import Evidence, save, show
from federation.plan import FOLDER
from federation.run import FAILURES, Wishes, federate
from flipctl.demo.progress import Progress
from flipctl.output import fail


def main(
    patients: Annotated[int, typer.Option(min=12, help="Labelled patients at each trust.")] = 12,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of federated averaging.")] = 3,
    build: Annotated[
        bool, typer.Option(help="Build images of this checkout; else those of its release are used.")
    ] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up.")] = False,
    reboot: Annotated[bool, typer.Option("--reboot", help="Restart every host and train again.")] = False,
    cut_network: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="Cut a trust's network for so long during a job.")
    ] = 0,
    interrupt: Annotated[
        int, typer.Option(min=0, metavar="TIMES", help="Kill a trust's provisioning so often; then compare.")
    ] = 0,
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
    wishes = Wishes(patients, rounds, build, keep, reboot, cut_network, interrupt, drawn)
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

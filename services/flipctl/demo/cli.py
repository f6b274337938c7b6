"""`flipctl demo`."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flipctl.output import JsonFlag, fail, print_json
from flipctl.processes import descendants

EXAMPLE = "Example: flipctl demo --keep"
ROOT = Path(__file__).resolve().parents[3]


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
    # Imported here: the rest of flipctl works where the demo's parts are not installed.
    try:
        from flipctl.demo.progress import Progress  # noqa: PLC0415 - see above
        from flipctl.demo.report import Report, show  # noqa: PLC0415 - see above
        from flipctl.demo.run import CURVE, FAILURES, run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        fail(f"the demo needs {error.name}, which is not installed here; use `make demo`")
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
        report = run(folder.resolve(), patients, rounds, keep, progress, present)
    except FAILURES as error:
        fail(f"{error}\nThe logs are in {folder / 'logs'}")
    except KeyboardInterrupt:
        progress.say("interrupted; every process was ended")
        raise typer.Exit(130) from None
    left = descendants()
    if left:
        fail(f"processes were left over: {[process.pid for process in left]}")
    if not report.passed:
        fail("something did not hold; see the checks above")

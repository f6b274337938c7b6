"""`flipctl hub`: the verbs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from flipctl.hub import HubError
from flipctl.hub.stack import Bootstrap
from flipctl.hub.tofu import Plan
from flipctl.images_run import progress
from flipctl.output import JsonFlag, console, fail, print_json, print_table

app = typer.Typer(help="A hub on AWS, by OpenTofu or Terraform.", no_args_is_help=True)

Environment = Annotated[str, typer.Argument(help="Which environment, such as stag or prod.")]
Values = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Its values, if not in ENVIRONMENT.tfvars.")
]
Folder = Annotated[Path, typer.Option(file_okay=False, help="Where to work; each environment has a folder in it.")]
FOLDER = Path(".flip/hub")


@app.command(epilog="Example: flipctl hub bootstrap stag")
def bootstrap(
    environment: Environment,
    values: Values = None,
    folder: Folder = FOLDER,
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make an environment's bucket for states, its key and the identity of its CI; once, and again after a change.

    A run that was interrupted is gone on with by running it again.
    """
    with _errors(), progress(f"bootstrap of {environment}") as say:
        made = Bootstrap.prepare(environment, values, folder, say)
        plan = made.plan()
    if plan.changes and not as_json:
        _show(environment, plan)
    if plan.changes and not yes:
        typer.confirm("apply this?", abort=True, err=True)
    with _errors(), progress(f"applying {environment}") as say:
        made = Bootstrap(environment, made.folder, type(made.tofu)(made.tofu.folder, say))
        if plan.changes:
            made.apply()
        moved = made.move_state()
        outputs = made.tofu.outputs()
    if as_json:
        print_json(_document(environment, plan) | {"state_moved": moved, "outputs": outputs})
        return
    console.print("applied" if plan.changes else f"nothing changed: {environment} is as its values say", soft_wrap=True)
    if moved:
        console.print("the state is in the bucket now", soft_wrap=True)
    console.print(f"backend of the other stacks: {made.backend_file}", soft_wrap=True)


@app.command(epilog="Example: flipctl hub plan stag --json")
def plan(environment: Environment, values: Values = None, folder: Folder = FOLDER, as_json: JsonFlag = False) -> None:
    """Say what `flipctl hub bootstrap` would change, drift included; changes nothing."""
    with _errors(), progress(f"planning {environment}") as say:
        planned = Bootstrap.prepare(environment, values, folder, say).plan()
    if as_json:
        print_json(_document(environment, planned))
    elif planned.changes:
        _show(environment, planned)
    else:
        console.print(f"nothing would change: {environment} is as its values say", soft_wrap=True)


def _document(environment: str, planned: Plan) -> dict[str, Any]:
    changes = [{"address": address, "action": action} for address, action in planned.changes]
    return {"environment": environment, "counts": planned.counts, "changes": changes}


def _show(environment: str, planned: Plan) -> None:
    counts = ", ".join(f"{count} to {action}" for action, count in planned.counts.items())
    rows = [{"action": action, "resource": address} for address, action in planned.changes]
    print_table(f"{environment}: {counts}", rows)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except HubError as error:
        fail(str(error))

"""`flipctl hub`: the verbs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flip_fl.certs import write_private
from flipctl.hub import HubError, admin
from flipctl.hub.aws import Aws
from flipctl.hub.bootstrap import Bootstrap
from flipctl.hub.costs import Prices, by_part, price
from flipctl.hub.drawing import draw
from flipctl.hub.environment import Environment
from flipctl.hub.quiesce import quiesce
from flipctl.hub.secrets import Rotation, Secrets
from flipctl.hub.stack import Stack
from flipctl.hub.status import look
from flipctl.hub.tofu import Plan, Tofu, program
from flipctl.images_run import progress
from flipctl.output import JsonFlag, console, fail, print_json, print_table

app = typer.Typer(help="A hub on AWS, by OpenTofu or Terraform.", no_args_is_help=True)

app.command(
    "quiesce",
    epilog="Example: flipctl hub quiesce on --hub https://hub.example.org/api --email admin@example.org --wait",
)(quiesce)


class StackName(StrEnum):
    """The stacks of an environment."""

    BOOTSTRAP = "bootstrap"
    HUB = "hub"
    DASHBOARD = "dashboard"
    TRUST_EC2 = "trust_ec2"


EnvironmentName = Annotated[str, typer.Argument(help="Which environment, such as stag or prod.", metavar="ENVIRONMENT")]
Values = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Its values, if not in ENVIRONMENT.tfvars.")
]
Folder = Annotated[Path, typer.Option(file_okay=False, help="Where to work; each environment has a folder in it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Apply without asking.")]
FOLDER = Path(".flip/hub")


@app.command(epilog="Example: flipctl hub bootstrap stag")
def bootstrap(
    environment: EnvironmentName,
    values: Values = None,
    folder: Folder = FOLDER,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Make an environment's bucket for states, its key and the identity of its CI; once, and again after a change.

    A run that was interrupted is gone on with by running it again.
    """
    with _errors(), progress(f"bootstrap of {environment}") as say:
        made = Bootstrap.prepare(Environment.named(environment, folder), values, say)
        plan = made.plan()
    _ask(environment, plan, yes, as_json)
    with _errors(), progress(f"applying {environment}") as say:
        made = Bootstrap(made.environment, Tofu(made.tofu.folder, say))
        if plan.changes:
            made.apply(plan)
        moved = made.move_state()
        outputs = made.tofu.outputs()
    if as_json:
        print_json(_document(environment, plan) | {"state_moved": moved, "outputs": outputs})
        return
    _tell_applied(environment, plan)
    if moved:
        console.print("the state is in the bucket now", soft_wrap=True)
    console.print(f"backend of the other stacks: {made.environment.backend_file}", soft_wrap=True)


@app.command(epilog="Example: flipctl hub plan stag --json")
def plan(
    environment: EnvironmentName,
    stack: Annotated[StackName, typer.Option(help="Which stack.")] = StackName.HUB,
    values: Values = None,
    folder: Folder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Say what would change, what somebody changed by hand included; changes nothing."""
    with _errors(), progress(f"planning {environment}") as say:
        place = Environment.named(environment, folder)
        if stack is StackName.BOOTSTRAP:
            planned = Bootstrap.prepare(place, values, say).plan()
        else:
            planned = Stack.prepare(place, stack, values, say).look()
    if as_json:
        print_json(_document(environment, planned))
    elif planned.changes:
        _show(environment, planned)
    else:
        console.print(f"nothing would change: {environment} is as its values say", soft_wrap=True)


@app.command(epilog="Example: flipctl hub costs stag --usage fl_out_gb=1000")
def costs(
    environment: EnvironmentName,
    usage: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Of what is assumed of its use; repeat for several.")
    ] = None,
    planned: Annotated[
        Path | None,
        typer.Option("--plan", exists=True, dir_okay=False, help="A plan by `tofu show -json`, instead of planning."),
    ] = None,
    values: Values = None,
    folder: Folder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Estimate what an environment's hub costs a month, by its values; changes nothing."""
    with _errors(), progress(f"costs of {environment}") as say:
        place, prices = Environment.named(environment, folder), Prices.read().with_usage(usage or [])
        if planned:
            document = json.loads(planned.read_text())
        else:
            tofu = Stack.prepare(place, StackName.HUB, values, say).tofu
            tofu.plan("-refresh=false")  # what somebody changed by hand is not asked for
            document = tofu.planned()
        found = price(document, prices)
    total = round(sum(cost.usd for cost in found), 2)
    if as_json:
        about = {"region": prices.region, "as_of": prices.as_of, "usage": prices.usage}
        print_json({"usd_a_month": total, "prices": about, "costs": [asdict(cost) for cost in found]})
        return
    rows = [{"part": part, "for": what, "USD a month": f"{usd:.2f}"} for (part, what), usd in by_part(found).items()]
    print_table(f"{environment}: about {total:.0f} USD a month", rows)
    console.print(f"prices of {prices.region}, {prices.as_of}, without tax; {prices.elsewhere}", soft_wrap=True)
    assumed = ", ".join(f"{name}={number:g}" for name, number in prices.usage.items())
    console.print(f"assumed, and to be said with --usage: {assumed}", soft_wrap=True)


@app.command(epilog="Example: flipctl hub drawing stag")
def drawing(
    environment: EnvironmentName, values: Values = None, folder: Folder = FOLDER, as_json: JsonFlag = False
) -> None:
    """Draw an environment's hub as it was applied, in Mermaid: modules, what is in them, and who reaches whom."""
    with _errors(), progress(f"drawing {environment}") as say:
        stack = Stack.prepare(Environment.named(environment, folder), StackName.HUB, values, say)
        stack.outputs()
        text = draw(stack.tofu.shown())
    if as_json:
        print_json({"mermaid": text})
    else:
        console.print(text, soft_wrap=True, markup=False, end="")


@app.command(epilog="Example: flipctl hub apply stag")
def apply(
    environment: EnvironmentName,
    stack: Annotated[StackName, typer.Option(help="Which stack; `bootstrap` has a verb of its own.")] = StackName.HUB,
    values: Values = None,
    folder: Folder = FOLDER,
    yes: Yes = False,
    lose: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="What holds data and may be replaced or destroyed; repeat for several."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an environment's hub or host, or change it to what its values say now: an upgrade is other digests.

    A plan that would replace or destroy what holds data is refused, unless each such thing is named with --lose.
    """
    with _errors(), progress(f"planning {environment}") as say:
        prepared = Stack.prepare(Environment.named(environment, folder), _applicable(stack), values, say)
        planned = prepared.plan(frozenset(lose or ()))
    _ask(environment, planned, yes, as_json)
    with _errors(), progress(f"applying {environment}") as say:
        tofu = Tofu(prepared.tofu.folder, say)
        if planned.changes:
            tofu.apply(planned)
        outputs = tofu.outputs()
    if as_json:
        print_json(_document(environment, planned) | {"outputs": outputs})
        return
    _tell_applied(environment, planned)
    if stack is StackName.HUB:
        console.print(f"the hub: {outputs['url']}", soft_wrap=True)
    else:
        told = f"{Path(program()).name} -chdir={prepared.tofu.folder} output -raw inventory"
        console.print(f"the host: {outputs['instance_id']}; Ansible's inventory: {told}", soft_wrap=True)


@app.command(epilog="Example: flipctl hub destroy trial")
def destroy(
    environment: EnvironmentName,
    stack: Annotated[StackName, typer.Option(help="Which stack.")] = StackName.HUB,
    values: Values = None,
    folder: Folder = FOLDER,
    yes: Annotated[bool, typer.Option("--yes", help="Destroy without asking.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Destroy an environment's hub or host with its data, if it was applied with `disposable = true`."""
    with _errors(), progress(f"planning the end of {environment}") as say:
        prepared = Stack.prepare(Environment.named(environment, folder), _applicable(stack), values, say)
        planned = prepared.plan_destruction()
    if not as_json:
        _show(environment, planned)
    if not yes and typer.prompt("this destroys its data; the environment's name, to go on", err=True) != environment:
        fail("that is not its name; nothing was destroyed")
    with _errors(), progress(f"destroying {environment}") as say:
        Tofu(prepared.tofu.folder, say).apply(planned)
    if as_json:
        print_json(_document(environment, planned))
    else:
        console.print(f"destroyed: {len(planned.changes)} resources of {environment}", soft_wrap=True)


@app.command(epilog="Example: flipctl hub secrets stag")
def secrets(
    environment: EnvironmentName,
    rotate: Annotated[
        list[Rotation] | None, typer.Option(help="Make this anew though it is there; repeat for several.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Restart all services, whatever was changed.")] = False,
    values: Values = None,
    folder: Folder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Make the keys and FL certificates that a hub's services need, in Secrets Manager alone; services read them anew.

    What is there and good for 90 days stays. The authority that trusts' kits need is written beside the backend's file.
    """
    with _errors(), progress(f"secrets of {environment}") as say:
        stack = Stack.prepare(Environment.named(environment, folder), StackName.HUB, values, say)
        outputs = stack.outputs()
        made = Secrets(outputs, Aws(outputs["region"]), say)
        authority = stack.environment.folder / "fl-ca.pem"
        write_private(authority, made.fill(frozenset(rotate or ())).encode())
        restarted = made.restart(restart)
    if as_json:
        print_json({"changed": made.changed, "restarted": restarted, "fl_ca": str(authority)})
        return
    console.print(f"written: {', '.join(made.changed)}" if made.changed else "nothing to do", soft_wrap=True)
    if restarted:
        console.print(f"restarting, which ECS does without a gap for the hub: {', '.join(restarted)}", soft_wrap=True)
    console.print(f"authority of the FL servers, for `flipctl trust onboard --fl-ca`: {authority}", soft_wrap=True)


@app.command("create-admin", epilog="Example: flipctl hub create-admin stag --email ada@example.org")
def create_admin(
    environment: EnvironmentName,
    email: Annotated[str, typer.Option(help="Address that the identity provider has verified, too.")],
    full_name: Annotated[str, typer.Option(help="Name for others to see.")] = "",
    values: Values = None,
    folder: Folder = FOLDER,
    as_json: JsonFlag = False,
) -> None:
    """Make an administrator at the hub, whom Cognito signs in; the account there is made beside."""
    with _errors(), progress(f"administrator of {environment}") as say:
        outputs = Stack.prepare(Environment.named(environment, folder), StackName.HUB, values, say).outputs()
        admin.create_admin(outputs, Aws(outputs["region"]), email, full_name, say)
    if as_json:
        print_json({"email": email, "user_pool_id": outputs["sign_in"]["user_pool_id"]})
    else:
        console.print(
            f"administrator {email} made; in the user pool: {outputs['sign_in']['user_pool_id']}", soft_wrap=True
        )


@app.command(epilog="Example: flipctl hub status stag")
def status(
    environment: EnvironmentName, values: Values = None, folder: Folder = FOLDER, as_json: JsonFlag = False
) -> None:
    """Say what is up: endpoints, certificates, tasks, targets, database, secrets, alarms. Exit status 1 on a fault.

    What trusts and jobs do, says the hub itself: flipctl status --hub URL --email ADDRESS.
    """
    with _errors(), progress(f"status of {environment}") as say:
        outputs = Stack.prepare(Environment.named(environment, folder), StackName.HUB, values, say).outputs()
        found = look(outputs, Aws(outputs["region"]), say)
    faults = sum(finding.verdict == "fault" for finding in found)
    if as_json:
        print_json({"hub": outputs["url"], "faults": faults, "findings": [asdict(finding) for finding in found]})
    else:
        print_table(f"{environment}: {outputs['url']}", [asdict(finding) for finding in found])
    raise typer.Exit(1 if faults else 0)


def _applicable(stack: StackName) -> StackName:
    """The stack, unless it is the one below all others, which other verbs make and nothing destroys."""
    if stack is StackName.BOOTSTRAP:
        raise HubError("the bootstrap is made by `flipctl hub bootstrap`; docs/hub-aws.md says how it is removed")
    return stack


def _ask(environment: str, planned: Plan, yes: bool, as_json: bool) -> None:
    if planned.changes and not as_json:
        _show(environment, planned)
    if planned.changes and not yes:
        typer.confirm("apply this?", abort=True, err=True)


def _tell_applied(environment: str, planned: Plan) -> None:
    said = "applied" if planned.changes else f"nothing changed: {environment} is as its values say"
    console.print(said, soft_wrap=True)


def _document(environment: str, planned: Plan) -> dict[str, Any]:
    changes = [{"address": change.address, "action": change.action} for change in planned.changes]
    return {"environment": environment, "counts": planned.counts, "changes": changes}


def _show(environment: str, planned: Plan) -> None:
    counts = ", ".join(f"{count} to {action}" for action, count in planned.counts.items())
    rows = [{"action": change.action, "resource": change.address} for change in planned.changes]
    print_table(f"{environment}: {counts}", rows)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except HubError as error:
        fail(str(error))

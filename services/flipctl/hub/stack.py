"""A stack whose state lies in the bucket that the bootstrap made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipctl.hub import HubError
from flipctl.hub.environment import Environment
from flipctl.hub.tofu import HOLDS_DATA, Plan, Tofu, interrupted

# What `disposable = true` makes of that which holds data.
DISPOSABLE: dict[str, dict[str, Any]] = {
    "aws_backup_vault": {"force_destroy": True},
    "aws_cognito_user_pool": {"deletion_protection": "INACTIVE"},
    "aws_ebs_volume": {"final_snapshot": False},
    "aws_db_instance": {"deletion_protection": False, "skip_final_snapshot": True},
    "aws_s3_bucket": {"force_destroy": True},
}


@dataclass(frozen=True)
class Stack:
    """A working copy of a stack with an environment's values, initialised."""

    environment: Environment
    tofu: Tofu

    @classmethod
    def prepare(cls, environment: Environment, stack: str, values: Path | None, say: Callable[[str], None]) -> "Stack":
        """Copies the stack and brings provider and backend.

        Raises:
            HubError: the environment has no bucket for states, or no values for this stack.
        """
        if not environment.backend_file.is_file():
            raise HubError(
                f"{environment.backend_file} does not exist: run `flipctl hub bootstrap {environment.name}` first; "
                "where the bootstrap is done already, it changes nothing and writes that file"
            )
        tofu = Tofu(environment.working_copy(stack, values), say)
        key = f"{environment.name}/{stack}.tfstate"
        tofu.init("-reconfigure", f"-backend-config={environment.backend_file}", f"-backend-config=key={key}")
        return cls(environment, tofu)

    def outputs(self) -> dict[str, Any]:
        """What the stack says of itself.

        Raises:
            HubError: it was not applied yet.
        """
        outputs = self.tofu.outputs()
        if not outputs:
            raise HubError(f"nothing is there: run `flipctl hub apply {self.environment.name}` first")
        return outputs

    def look(self) -> Plan:
        """Plans what `plan` would, and changes nothing, not even what the state says of an interrupted apply."""
        state = self.tofu.state()
        if state is None or not interrupted(state, HOLDS_DATA):
            return self.tofu.plan()
        for entry in state["resources"]:
            for instance in entry["instances"] if entry["type"] in HOLDS_DATA else ():
                instance.pop("status", None)
        return self.tofu.plan_apart(state)

    def plan(self, lose: frozenset[str] = frozenset()) -> Plan:
        """Plans, and refuses a plan that would lose data which is not named in `lose`.

        Raises:
            HubError: the program failed, or the plan would replace or destroy what holds data.
        """
        self.tofu.keep_interrupted(HOLDS_DATA)
        plan = self.tofu.plan()
        losses = {
            change.address: change.action
            for change in plan.changes
            if change.kind in HOLDS_DATA and change.action in ("delete", "replace")
        }
        if unknown := sorted(lose - losses.keys()):
            raise HubError(f"--lose {', '.join(unknown)}: the plan would not lose this; leave it out")
        if kept := sorted(losses.keys() - lose):
            listed = "\n".join(f"  {losses[address]} {address}" for address in kept)
            raise HubError(
                f"this would lose what cannot be made again:\n{listed}\n"
                "Undo the change of the values that leads to it. If the data shall go, back them up, and name each "
                "with --lose"
            )
        return plan

    def plan_destruction(self) -> Plan:
        """Plans the end of the stack, of one that was applied with `disposable = true`.

        Raises:
            HubError: it holds data for good.
        """
        state = self.tofu.state()
        if state is None:
            raise HubError(f"nothing is there: the state of {self.environment.name} is empty")
        # A destruction takes the outputs first: one that was interrupted is known by what it had not come to.
        told = state["outputs"].get("disposable")
        if not (told["value"] if told else _unprotected(state)):
            raise HubError(
                f"{self.environment.name} was not applied as disposable, and its data would go with it: back them up, "
                "set disposable = true in its values, apply, and then destroy"
            )
        return self.tofu.plan("-destroy")


def _unprotected(state: dict[str, Any]) -> bool:
    return all(
        instance["attributes"][attribute] == value
        for entry in state["resources"]
        for attribute, value in DISPOSABLE.get(entry["type"], {}).items()
        if entry["mode"] == "managed"
        for instance in entry["instances"]
    )

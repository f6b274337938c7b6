"""The bootstrap of an environment: the bucket for states holds the state of the bucket, so there are two steps.

The first has its state on disk, the second moves that into the bucket it made. Each step can be repeated, and a run
finds by itself where the last one ended.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipctl.hub import HubError
from flipctl.hub.environment import Environment
from flipctl.hub.tofu import HOLDS_DATA, LOCAL, Plan, Tofu

NO_BUCKET = re.compile(r"NoSuchBucket|S3 bucket .* does not exist")


@dataclass(frozen=True)
class Bootstrap:
    """A working copy of the stack with an environment's values."""

    environment: Environment
    tofu: Tofu

    @classmethod
    def prepare(cls, environment: Environment, values: Path | None, say: Callable[[str], None]) -> "Bootstrap":
        """Copies the stack.

        Raises:
            HubError: the environment has no values.
        """
        return cls(environment, Tofu(environment.working_copy("bootstrap", values), say))

    @property
    def _override(self) -> Path:
        return self.tofu.folder / "backend_override.tf"

    @property
    def _local_state(self) -> Path:
        return self.tofu.folder / "local.tfstate"

    def plan(self) -> Plan:
        """Plans where the state is: on disk until the move into the bucket is done, and in the bucket from then on.

        Raises:
            HubError: the program failed, or the bucket is there and holds no state.
        """
        first = None if self.environment.backend_file.exists() else self._plan_on_disk()
        if self._bucket_exists():
            if self.tofu.state() is not None:
                self._forget_disk()  # a run may have died between the move and this
                return self.tofu.plan()
            if not self._begun_here():
                raise HubError(
                    f"the bucket of {self.environment.backend_file} exists and holds no state: a bootstrap was "
                    "interrupted before its state was moved. Go on where it began, with the same --folder; "
                    "docs/hub-aws.md says what to do if that folder is lost"
                )
        if first is None:
            return self._plan_on_disk()
        self._init_on_disk()  # where its plan was made, and is applied
        return first

    def apply(self, plan: Plan) -> None:
        """Carries out the plan."""
        self.tofu.apply(plan)

    def move_state(self) -> bool:
        """Moves a state that is on disk into the bucket; says whether there was one."""
        if not self._begun_here():
            return False
        mine = self.tofu.state()
        self._override.unlink(missing_ok=True)
        self.tofu.init("-migrate-state", "-force-copy", *self._backend_options())
        there = self.tofu.state()
        if mine is None or there is None or there["resources"] != mine["resources"]:  # the lineage is a new one
            raise HubError(f"the state was not found in the bucket after the move; it is in {self._local_state}")
        self._forget_disk()
        return True

    def _forget_disk(self) -> None:
        for path in self.tofu.folder.glob("local.tfstate*"):
            path.unlink()

    def _begun_here(self) -> bool:
        path = self._local_state
        return path.exists() and bool(path.stat().st_size) and bool(json.loads(path.read_text())["resources"])

    def _plan_on_disk(self) -> Plan:
        self._init_on_disk()
        self.tofu.keep_interrupted(HOLDS_DATA)
        plan = self.tofu.plan()
        self._write_backend(self.tofu.planned()["planned_values"]["outputs"]["backend"]["value"])
        return plan

    def _init_on_disk(self) -> None:
        self._override.write_text(LOCAL)
        self.tofu.init("-reconfigure")

    def _write_backend(self, backend: dict[str, Any]) -> None:
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in sorted(backend.items())]
        partial = self.environment.backend_file.with_suffix(".part")
        partial.write_text("".join(lines))
        os.replace(partial, self.environment.backend_file)

    def _backend_options(self) -> tuple[str, str]:
        # Not under the name of the environment: what CI may do is in this state, which CI cannot reach.
        return f"-backend-config={self.environment.backend_file}", "-backend-config=key=bootstrap.tfstate"

    def _bucket_exists(self) -> bool:
        self._override.unlink(missing_ok=True)
        try:
            self.tofu.init("-reconfigure", *self._backend_options())
        except HubError as error:
            if NO_BUCKET.search(" ".join(str(error).split())):
                return False
            raise
        return True

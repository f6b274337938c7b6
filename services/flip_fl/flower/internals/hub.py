"""Processes at the hub: SuperLink, SuperExec (at a site too) and ServerApp."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flip_fl.flower.internals.common import SERVER_APP, impatient, import_module


def make_federation_manager(trusts_of: Callable[[str], frozenset[str] | None]) -> Any:
    """A federation manager in which every job is a federation of the trusts `trusts_of(federation id)` names.

    The SuperLink asks it when a message is stored, when one is delivered, and when a SuperNode asks for a run or its
    app. Membership goes by the name under which a SuperNode's key is registered, looked up each time: a key that was
    replaced or removed counts no more.
    """
    from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID
    from flwr.superlink.federation import NoOpFederationManager

    class JobFederations(NoOpFederationManager):  # type: ignore[misc] # flwr is not typed for us
        def exists(self, federation_id: str) -> bool:
            return trusts_of(federation_id) is not None

        def has_member(self, flwr_aid: str, federation_id: str) -> bool:
            return self.exists(federation_id) and bool(flwr_aid == NOOP_FLWR_AID)

        def filter_nodes(self, node_ids: set[int], federation_id: str) -> set[int]:
            trusts = trusts_of(federation_id) or frozenset()
            wanted = node_ids - {SUPERLINK_NODE_ID}
            known = self.linkstate.get_node_info(node_ids=list(wanted)) if wanted else []
            members = {node.node_id for node in known if node.name in trusts and node.status in ("online", "offline")}
            return members | (node_ids & {SUPERLINK_NODE_ID})

        def has_node(self, node_id: int, federation_id: str) -> bool:
            return node_id in self.filter_nodes({node_id}, federation_id)

        def get_simulation_config(self, federation_id: str) -> None:
            return None

    return JobFederations()


def superlink_app(arguments: Sequence[str], federation_manager: Any) -> Any:
    """Flower's SuperLink as an ASGI application, set up from the options of `flower-superlink`."""
    from flwr.superlink import main

    command = import_module("flwr.superlink.cli.flower_superlink")
    fleet = import_module("flwr.superlink.servicer.fleet.fleet_handlers")
    activate = fleet.activate_node

    def activate_anew(request: Any, state: Any) -> Any:
        node_id = state.get_node_id_by_public_key(request.public_key)
        if node_id is not None:
            _begin_anew(state, node_id)
        return activate(request=request, state=state)

    fleet.activate_node = activate_anew
    main.get_federation_manager = lambda **_: federation_manager
    sys.argv = ["flower-superlink", *arguments]
    return main.create_app(command._parse_superlink_lifespan_config(), command.SuperLinkLifespan)


def _begin_anew(state: Any, node_id: int) -> None:
    """A SuperNode started: the one before it with this key is gone, and with it every message it had fetched.

    Flower would refuse the new one until the old one's heartbeat has run out (a minute), and let rounds wait for
    answers that nobody works on. A message that is no more is answered with an error at once.
    """
    from sqlalchemy import select

    module = import_module("flwr.server.superlink.linkstate.sql_linkstate")
    sent, replied = module.MessageInsModel, module.MessageResModel
    state.deactivate_node(node_id)
    lost = select(sent.message_id).where(
        sent.dst_node_id == module.uint64_to_int64(node_id),
        sent.delivered_at != "",
        sent.message_id.not_in(select(replied.reply_to_message_id)),
    )
    with state.session() as session:
        identifiers = set(session.scalars(lost))
    if identifiers:
        state.delete_messages(identifiers)


def fleet_paths() -> frozenset[str]:
    """Paths a SuperNode with a registered key needs. Registering and unregistering itself are not among them."""
    from flwr.superlink.routers.fleet.router import router

    return frozenset(
        route.path
        for route in router.routes
        if not route.path.endswith(("/register-node", "/unregister-node"))  # the hub does this, by key
    )


def run_superexec(arguments: Sequence[str], executor: Any) -> None:
    """Runs `flower-superexec`, which starts app processes through `executor`. Returns never.

    `executor.launch_app(kind, run_id, arguments, token)` starts one; `executor.reap()` is called between two.
    """
    from flwr.supercore.constant import TASK_TYPE_TO_COMMAND, TaskType
    from flwr.supercore.superexec.executor.subprocess_executor import SubprocessExecutor
    from flwr.supercore.superexec.executor.types import LaunchResult
    from flwr.supercore.superexec.plugin import AutoExecPlugin

    command = import_module("flwr.supercore.cli.flower_superexec")
    module = import_module("flwr.supercore.superexec.run_superexec")

    class Executor(SubprocessExecutor):  # type: ignore[misc] # flwr is not typed for us
        run_id = 0

        def launch(self, spec: Any) -> Any:
            arguments = ["--runtime-api-address", spec.runtime_api_address, "--parent-pid", str(spec.parent_pid)]
            tls = ["--insecure"] if spec.insecure else ["--root-certificates", spec.root_certificates_path]
            kind = TASK_TYPE_TO_COMMAND[spec.task_type]
            try:
                executor.launch_app(kind, self.run_id, [*arguments, *tls], spec.token)
            except OSError as error:
                return LaunchResult.failed(str(error))
            return LaunchResult.accepted()

        def reconcile(self) -> None:
            executor.reap()

    class Plugin(AutoExecPlugin):  # type: ignore[misc] # flwr is not typed for us
        supported_task_types = frozenset({TaskType.SERVER_APP, TaskType.CLIENT_APP})

        def launch_task(self, token: str, task: Any) -> Any:
            self.executor.run_id = int(task.run_id)
            return super().launch_task(token=token, task=task)

    module.get_executor = lambda *_, **__: Executor()
    module.AutoExecPlugin = Plugin
    sys.argv = ["flower-superexec", *arguments]
    command.flower_superexec()


def run_serverapp(arguments: Sequence[str], token: str, hook: Any, poll_seconds: float) -> None:
    """Runs a ServerApp process with `hook` (`hooks.server.GridHook`) between the app and the SuperLink."""
    from flwr.superlink.cli.flwr_serverapp import flwr_serverapp

    http_grid = import_module("flwr.superlink.grid.http_grid")
    grid = http_grid.HttpGrid
    push, pull, both, set_run = grid.push_messages, grid.pull_messages, grid.send_and_receive, grid.set_run

    def push_messages(self: Any, messages: Iterable[Any]) -> Any:
        outgoing = list(messages)
        hook.learn_names(lambda: _node_names(self), [message.metadata.dst_node_id for message in outgoing])
        identifiers = push(self, outgoing)
        hook.pushed(outgoing, list(identifiers))
        return identifiers

    def pull_messages(self: Any, message_ids: Iterable[str]) -> Any:
        return hook.pulled(list(pull(self, message_ids)))

    def send_and_receive(self: Any, messages: Iterable[Any], *, timeout: float | None = None) -> Any:
        before = hook.begin()
        replies = both(self, messages, timeout=hook.limit(timeout))
        hook.end(before)
        return replies

    def set_run_and_tell(self: Any, run: Any) -> None:
        set_run(self, run)
        hook.begin_run(run.run_id, run.federation_id)

    grid.push_messages, grid.pull_messages = push_messages, pull_messages
    grid.send_and_receive, grid.set_run = send_and_receive, set_run_and_tell
    http_grid.time = impatient(poll_seconds)
    sys.argv = [SERVER_APP, *arguments, "--token", token]
    flwr_serverapp()


def _node_names(grid: Any) -> dict[int, str]:
    from flwr.proto.runtime_pb2 import GetNodesRequest

    return {int(node.node_id): str(node.name) for node in grid._runtime_client.GetNodes(GetNodesRequest()).nodes}

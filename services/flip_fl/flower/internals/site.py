"""Processes at a site: SuperNode and ClientApp; and error replies, which begin there."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from flip_fl.flower.internals.common import CLIENT_APP, impatient, import_module


def error_name(code: int) -> str:
    """Flower's name for the code of an error reply."""
    from flwr.common.constant import ErrorCode

    names = {value: name for name, value in vars(ErrorCode).items() if isinstance(value, int)}
    return str(names.get(code, "UNKNOWN"))


def set_error_reason(message: Any, reason: str) -> None:
    """Replaces the text of an error reply."""
    from flwr.app.error import Error

    message.error = Error(code=message.error.code, reason=reason)


def run_clientapp(
    arguments: Sequence[str],
    token: str,
    guard: Callable[[Callable[[], Any]], Any],
    leaving: Callable[[Any, Any], None],
) -> None:
    """Runs a ClientApp process.

    `guard(call)` wraps the loading of the app and every call of it; `leaving(message, reply)` sees each reply
    before it is sent.
    """
    from flwr.supernode.cli.flwr_clientapp import flwr_clientapp

    module = import_module("flwr.supernode.runtime.run_clientapp")
    make_loader = module.get_load_client_app_fn

    def guarded_loader(*loader_args: Any, **loader_options: Any) -> Any:
        load = make_loader(*loader_args, **loader_options)

        def load_guarded(*args: Any, **options: Any) -> Any:
            app = guard(lambda: load(*args, **options))

            def guarded_app(message: Any, context: Any) -> Any:
                reply = guard(lambda: app(message=message, context=context))
                leaving(message, reply)
                return reply

            return guarded_app

        return load_guarded

    module.get_load_client_app_fn = guarded_loader
    sys.argv = [CLIENT_APP, *arguments, "--token", token]
    flwr_clientapp()


class PendingReply:
    """A message a SuperNode holds and whose answer it waits for."""

    def __init__(self, state: Any, get_run: Callable[[int], Any], run_id: int) -> None:
        self._state, self._get_run, self.run_id = state, get_run, run_id

    def run_ended(self) -> bool:
        """Asks the SuperLink. Raises httpx.HTTPError when it cannot be asked."""
        from flwr.supercore.run import RunNotRunningException

        try:
            self._get_run(self.run_id)
        except RunNotRunningException:
            return True
        return False

    def give_up(self) -> None:
        """Answers in the app's place that it crashed, so that the SuperNode goes on with other messages."""
        from flwr.supernode.nodestate.in_memory_nodestate import CLIENT_APP_CRASHED_ERROR

        with self._state.lock_msg_store:
            for entry in self._state.msg_store.values():
                if entry.message.metadata.run_id == self.run_id and not entry.message.metadata.reply_to_message_id:
                    entry.is_retrieved = True
        # Without a task no lease runs out later, which would answer the run's next message as well.
        _finish_tasks(self._state, self.run_id)
        self._state._store_error_replies({self.run_id}, CLIENT_APP_CRASHED_ERROR)


def _finish_tasks(state: Any, run_id: int) -> None:
    from flwr.common.constant import Status, SubStatus

    for task in state.get_tasks(run_ids=[run_id]):
        if task.status.status != Status.FINISHED:
            state.finish_task(task.task_id, SubStatus.FAILED, "abandoned")


def _abandon_messages(state: Any) -> set[int]:
    """Drops messages whose run ended while they were fetched, and returns the runs.

    Flower keeps such a message and its task: an app would start for it and wait for ever, and the answer to the next
    message would be taken for the answer to this one, from then on always one behind.
    """
    with state.lock_msg_store:
        messages = [entry.message for entry in state.msg_store.values()]
    runs = {int(message.metadata.run_id) for message in messages}
    for run_id in runs:
        _finish_tasks(state, run_id)
    state.delete_messages(message_ids=[message.metadata.message_id for message in messages])
    return runs


def run_supernode(
    arguments: Sequence[str],
    watched: Callable[[PendingReply, Callable[[], None]], None],
    abandoned: Callable[[int], None],
    poll_seconds: float,
) -> None:
    """Runs `flower-supernode`.

    `watched(pending, wait)` is to call `wait()`, which returns once there is an answer. `abandoned(run_id)` is called
    when a message was dropped because its run ended.
    """
    from flwr.supernode.cli.flower_supernode import flower_supernode

    module = import_module("flwr.supernode.start_client_internal")
    pull, push = module._pull_and_store_message, module._push_messages
    current: dict[str, Any] = {}

    def pull_and_note(**options: Any) -> Any:
        run_id = pull(**options)
        if run_id is None:
            for ended in _abandon_messages(options["state"]):
                abandoned(ended)
        current.update(run_id=run_id, get_run=options["get_run"])
        return run_id

    def push_watched(**options: Any) -> None:
        pending = PendingReply(options["state"], current["get_run"], current["run_id"])
        watched(pending, lambda: push(**options))

    module._pull_and_store_message, module._push_messages = pull_and_note, push_watched
    module.time = impatient(poll_seconds)
    sys.argv = ["flower-supernode", *arguments]
    flower_supernode()

"""The SuperLink's Control API, app bundles and keys."""

import hashlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A run as the SuperLink knows it. `status`: pending, starting, running, finished; `sub_status` when finished."""

    run_id: int
    federation: str
    status: str
    sub_status: str


@dataclass(frozen=True)
class Member:
    """A registered SuperNode."""

    node_id: int
    name: str
    public_key: bytes
    online: bool
    last_seen_at: datetime | None


class ControlRefusedError(Exception):
    """The SuperLink refused a call; the text is its public reason."""


class _Header:
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def intercept(self, context: Any, call_next: Callable[[Any], Any]) -> Any:
        context.request.headers[self._name] = self._value
        return call_next(context)


class Control:
    """The SuperLink's Control API. Blocking; every call may raise httpx.HTTPError while the SuperLink is away."""

    def __init__(self, address: str, ca_file: Path, header: str, key: str) -> None:
        from flwr.supercore.control import ControlHttpClient

        context = ssl.create_default_context(cafile=str(ca_file))
        self._client = ControlHttpClient(
            f"https://{address}", interceptors=[_Header(header, key)], verify=context, timeout=10.0
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def start_run(self, fab: bytes, federation: str, config: Mapping[str, bool | int | float | str]) -> int:
        """Starts a run and returns its id.

        Raises:
            ControlRefusedError: the SuperLink does not take the app or its configuration.
        """
        from flwr.common.serde import user_config_to_proto
        from flwr.proto.control_pb2 import StartRunRequest
        from flwr.proto.fab_pb2 import Fab

        request = StartRunRequest(
            fab=Fab(hash_str=hashlib.sha256(fab).hexdigest(), content=fab),
            federation=federation,
            override_config=user_config_to_proto(dict(config)),
        )
        run_id = int(self._call(self._client.StartRun, request).run_id)
        if run_id == 0:
            raise ControlRefusedError("the SuperLink started no run")
        return run_id

    def stop_run(self, run_id: int) -> None:
        """Stops a run; one that has ended is left as it is."""
        from flwr.proto.control_pb2 import StopRunRequest

        run = self.run(run_id)
        if run is None or run.status == "finished":
            return
        try:
            self._call(self._client.StopRun, StopRunRequest(run_id=run_id))
        except ControlRefusedError:
            # It may have ended between the two calls; anything else is an error.
            run = self.run(run_id)
            if run is not None and run.status != "finished":
                raise

    def run(self, run_id: int) -> Run | None:
        """One run, or None when the SuperLink has none of this id."""
        from flwr.proto.control_pb2 import ListRunsRequest

        try:
            answer = self._call(self._client.ListRuns, ListRunsRequest(run_id=run_id))
        except ControlRefusedError:
            return None
        return next((_run(item) for item in answer.run_dict.values()), None)

    def run_of(self, federation: str) -> Run | None:
        """The run of a federation: there is at most one."""
        from flwr.proto.control_pb2 import ListRunsRequest

        answer = self._call(self._client.ListRuns, ListRunsRequest())
        return next((_run(item) for item in answer.run_dict.values() if item.federation == federation), None)

    def members(self) -> list[Member]:
        """Registered SuperNodes."""
        from flwr.proto.control_pb2 import ListNodesRequest

        answer = self._call(self._client.ListNodes, ListNodesRequest())
        now = datetime.fromisoformat(answer.now)
        return [_member(item, now) for item in answer.nodes_info if item.status != "unregistered"]

    def register(self, public_key: bytes, name: str) -> int:
        """Registers a SuperNode's public key (OpenSSH or PEM bytes) under a name and returns its id."""
        from flwr.proto.control_pb2 import RegisterNodeRequest

        request = RegisterNodeRequest(public_key=public_key, name=name)
        return int(self._call(self._client.RegisterNode, request).node_id)

    def unregister(self, node_id: int) -> None:
        """Removes a SuperNode: its key opens nothing from now on."""
        from flwr.proto.control_pb2 import UnregisterNodeRequest

        self._call(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node_id))

    @staticmethod
    def _call(method: Callable[[Any], Any], request: Any) -> Any:
        import httpx

        try:
            return method(request)
        except httpx.HTTPStatusError as error:
            if error.response.is_client_error:
                raise ControlRefusedError(error.response.text[:500]) from error
            raise


def _run(item: Any) -> Run:
    return Run(int(item.run_id), item.federation, item.status.status, item.status.sub_status)


def _member(item: Any, now: datetime) -> Member:
    from flwr.common.constant import HEARTBEAT_PATIENCE

    last_seen = None
    if item.online_until and item.last_activated_at:
        until = datetime.fromtimestamp(float(item.online_until), tz=now.tzinfo)
        span = float(item.heartbeat_interval) * HEARTBEAT_PATIENCE
        last_seen = min(now, datetime.fromtimestamp(until.timestamp() - span, tz=now.tzinfo))
    return Member(int(item.node_id), item.name, bytes(item.public_key), item.status == "online", last_seen)


def build_fab(files: Mapping[str, bytes]) -> bytes:
    """Packs an app (path → content) as a Flower App Bundle.

    Raises:
        ValueError: Flower does not take this app; the text says why.
    """
    from flwr.cli.build import build_fab_from_files

    return bytes(build_fab_from_files(files)[0])


def normalise_public_key(public_key: bytes) -> bytes:
    """The key in the one form in which Flower compares keys."""
    from cryptography.hazmat.primitives.serialization import (
        load_pem_public_key,
        load_ssh_public_key,
    )
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    load = load_ssh_public_key if public_key.startswith(b"ecdsa-") else load_pem_public_key
    return bytes(public_key_to_bytes(load(public_key)))

"""How fast a task reaches a trust while many trusts wait, and how many tasks a second one hub process serves.

A real hub process on a real embedded PostgreSQL; the trusts are idle long polls over loopback TCP. A task is
submitted from another process (this one), as a second hub would: sealed, inserted, announced. Delivery is the
time from before the submit until the trust's own poll has returned and the trust has opened the payload.

    python benchmarks/task_delivery.py                  # 10, 100, 1000 and 3000 trusts
    python benchmarks/task_delivery.py --trusts 1000 --deliveries 300
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psutil

from flip_common.envelope import Binding, open_sealed, seal
from flip_common.keys import PayloadKey, hash_api_key
from flip_common.wire import LeaseResponse, TaskType, UpdateUserProfilePayload, UpdateUserProfileResult
from flip_hub.__main__ import app as run_hub
from flip_hub.db import Database
from flip_hub.embedded import database_url
from flip_hub.migrations import upgrade
from flip_hub.models.files.folder import FolderFiles
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_hub.tasks.bus import TaskBus
from flip_hub.tasks.registry import HANDLERS
from flip_hub.tasks.service import enqueue
from flip_hub.trusts.service import register
from flip_hub.trusts.vault import Vault

HEADER = "X-Trust-Api-Key"
TYPE = TaskType.UPDATE_USER_PROFILE
PAYLOAD = UpdateUserProfilePayload(username="ada", email="ada@example.org", enabled=True)


@dataclass
class Trust:
    trust_id: UUID
    api_key: str
    key: PayloadKey


class Connection:
    """One HTTP/1.1 connection: a client library would cost more than the hub under test."""

    def __init__(self, host: str, port: int, api_key: str) -> None:
        self.host, self.port = host, port
        self.head = f"Host: hub\r\n{HEADER}: {api_key}\r\nContent-Type: application/json\r\n"

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    async def post(self, path: str, body: str) -> bytes:
        request = f"POST /api/trust/{path} HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n{body}"
        self.writer.write(request.encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        match = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        content = await self.reader.readexactly(int(match[1])) if match else b""
        if status >= 300:
            raise RuntimeError(f"{path}: {status} {content!r}")
        return content


@contextmanager
def hub_process(folder: Path, url: str) -> Iterator[tuple[psutil.Process, str, int]]:
    env_file = folder / "hub.env"
    env_file.write_text(f"HUB_DATA_DIR={folder}\nDATABASE_URL={url}\nINTERNAL_SERVICE_KEY_HASH={hash_api_key('x')}\n")
    # The hub itself, with a domain that wants nothing: what a domain does with a result is not measured here.
    command = [sys.executable, __file__, "--as-hub", "serve", "--port", "0", "--internal-port", "0"]
    process = subprocess.Popen([*command, "--env-file", str(env_file)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"public API on ([\d.]+):(\d+)", line):
                break
        else:
            raise RuntimeError("the hub did not start")
        yield psutil.Process(process.pid), match[1], int(match[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


async def delivery(
    hub: Hub, process: psutil.Process, address: tuple[str, int], trusts: list[Trust], number: int
) -> tuple[list[float], int, float]:
    """Seconds from submit until the trust holds the task, `number` times, at random trusts that all wait."""
    arrived: dict[UUID, asyncio.Future[float]] = {}
    stop = asyncio.Event()
    first_look = {trust.trust_id: asyncio.Event() for trust in trusts}

    async def wait_for_tasks(trust: Trust) -> None:
        connection = Connection(*address, trust.api_key)
        await connection.open()
        first_look[trust.trust_id].set()
        while not stop.is_set():
            leased = LeaseResponse.model_validate_json(
                await connection.post("tasks/lease", '{"max": 1, "wait_seconds": 30}')
            )
            for task in leased.tasks:
                binding = Binding(trust.trust_id, task.task_id, task.type.value, "to-trust")
                open_sealed(task.payload, UpdateUserProfilePayload, [trust.key], binding)
                arrived[trust.trust_id].set_result(time.perf_counter())
                body = {"attempt": task.attempt, "outcome": "FAILED", "error": {"code": "benchmark"}}
                await connection.post(f"tasks/{task.task_id}/result", json.dumps(body))

    polls = []
    for start in range(0, len(trusts), 50):  # as they come in life: not three thousand in one millisecond
        polls += [asyncio.create_task(wait_for_tasks(trust)) for trust in trusts[start : start + 50]]
        await asyncio.gather(*(first_look[trust.trust_id].wait() for trust in trusts[start : start + 50]))
    process.cpu_percent()
    await asyncio.sleep(1)
    while process.cpu_percent() > 10:  # noqa: ASYNC110 - until everybody waits; it is another process
        await asyncio.sleep(1)
    took = []
    cpu = process.cpu_times()
    for trust in random.choices(trusts, k=number):
        arrived[trust.trust_id] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        async with hub.db.transaction() as session:
            await enqueue(session, hub, trust.trust_id, TYPE, PAYLOAD, {})
        took.append(await asyncio.wait_for(arrived[trust.trust_id], 30) - began)
        await asyncio.sleep(0.02)
    rss = process.memory_info().rss
    spent = sum(process.cpu_times()[:2]) - sum(cpu[:2])
    stop.set()
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    return took, rss, spent / number


async def throughput(
    hub: Hub, process: psutil.Process, address: tuple[str, int], trusts: list[Trust], number: int, batch: int
) -> tuple[float, float]:
    """Tasks a second from lease to accepted result, `batch` a lease, and the hub's CPU seconds for each."""
    async with hub.db.transaction() as session:
        for index in range(number):
            await enqueue(session, hub, trusts[index % len(trusts)].trust_id, TYPE, PAYLOAD, {})
    done = 0

    async def work(trust: Trust) -> None:
        nonlocal done
        connection = Connection(*address, trust.api_key)
        await connection.open()
        while True:
            content = await connection.post("tasks/lease", json.dumps({"max": batch}))
            tasks = LeaseResponse.model_validate_json(content).tasks
            if not tasks:
                return
            for task in tasks:
                binding = Binding(trust.trust_id, task.task_id, task.type.value, "to-hub")
                sealed = seal(UpdateUserProfileResult(applied=True), trust.key, binding)
                body = {"attempt": task.attempt, "outcome": "SUCCEEDED", "result": sealed}
                await connection.post(f"tasks/{task.task_id}/result", json.dumps(body))
                done += 1

    began, cpu = time.perf_counter(), sum(process.cpu_times()[:2])
    await asyncio.gather(*(work(trust) for trust in trusts))
    if done != number:
        raise RuntimeError(f"{done} of {number} tasks were done")
    return number / (time.perf_counter() - began), (sum(process.cpu_times()[:2]) - cpu) / number


async def take_outcome(*_: object) -> None:
    """The domain that asked: it wants nothing."""


async def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="flip-bench-") as name:
        settings = HubSettings(hub_data_dir=Path(name), internal_service_key_hash=hash_api_key("x"))
        async with database_url(settings) as url:
            await upgrade(url)
            db = Database(url)
            async with TaskBus.connected(db) as bus:
                files = FolderFiles(Path(name) / "models")
                hub = Hub(settings=settings, db=db, vault=Vault.open(settings), bus=bus, files=files, issuer=None)
                trusts = []
                async with db.transaction() as session:
                    for _ in range(max(arguments.trusts)):
                        kit = await register(session, hub, "benchmark", f"T{uuid4().hex}")
                        trusts.append(Trust(kit.trust_id, kit.api_key, PayloadKey.from_base64(kit.aes_key_base64)))
                await measure(hub, Path(name), url, trusts, arguments)
            await db.close()


async def measure(hub: Hub, folder: Path, url: str, trusts: list[Trust], arguments: argparse.Namespace) -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load before: {load}")
    print("trusts waiting   p50 ms   p95 ms   max ms   hub CPU ms a task   hub RSS MB")
    for number in arguments.trusts:
        with hub_process(folder, url) as (process, host, port):
            took, rss, cpu = await delivery(hub, process, (host, port), trusts[:number], arguments.deliveries)
        cuts = statistics.quantiles(took, n=20)
        figures = [statistics.median(took), cuts[-1], max(took), cpu]
        p50, p95, longest, work = (f"{value * 1000:.1f}" for value in figures)
        print(f"{number:14}  {p50:>7}  {p95:>7}  {longest:>7}  {work:>18}  {rss / 1e6:11.0f}", flush=True)
    with hub_process(folder, url) as (process, host, port):
        for batch in (1, 10):
            rate, cpu = await throughput(hub, process, (host, port), trusts[:8], arguments.tasks, batch)
            print(f"lease + result, {batch:2} a lease: {rate:.0f} tasks/s, {cpu * 1000:.1f} ms of the hub's CPU each")


if __name__ == "__main__":
    HANDLERS[TYPE] = take_outcome
    if sys.argv[1:2] == ["--as-hub"]:
        run_hub(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trusts", type=int, nargs="+", default=[10, 100, 1000, 3000])
    parser.add_argument("--deliveries", type=int, default=200)
    parser.add_argument("--tasks", type=int, default=3000)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(parser.parse_args()))

"""trust-api as a process: settings, exit statuses, signals, and kill -9."""

import json
import signal
import socket
import time
from pathlib import Path
from uuid import uuid4

import pytest
from trust_api_standins import until

from flip_common.settings import SettingsError
from flip_common.wire import CohortQueryPayload, TaskType
from flip_trust.api.__main__ import load_settings, read_public_key

QUERY = CohortQueryPayload(query_id=uuid4(), project_id=uuid4(), query="SELECT 1")


async def test_killed_mid_task_the_task_is_done_once_by_another_attempt(hub, site, spawn) -> None:
    hub.lease_seconds, site.hold = 2.0, True
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    first = spawn()
    await until(lambda: site.started, "the task runs")
    first.kill()
    site.hold = False
    spawn()
    assert (await hub.answer(task)).attempt == 2
    assert [result.attempt for _, result in hub.posted] == [2]
    assert hub.tasks[task].attempt == 2


async def test_another_identity_ends_with_status_2_and_both_ids(hub, spawn) -> None:
    expected = uuid4()
    process = spawn(EXPECTED_TRUST_ID=str(expected))
    assert await process.status() == 2
    assert str(expected) in process.log
    assert str(hub.trust_id) in process.log
    assert hub.lease_requests == []


async def test_sigterm_finishes_the_task_and_ends_with_status_0(hub, site, spawn) -> None:
    site.hold = True
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    process = spawn(EXPECTED_TRUST_ID=str(hub.trust_id), LOG_LEVEL="DEBUG")
    await until(lambda: site.started, "the task runs")
    process.send(signal.SIGTERM)
    await until(lambda: "stopping: no more leases" in process.log, "it drains")
    site.hold = False
    assert await process.status() == 0
    assert hub.tasks[task].accepted
    lines = [json.loads(line) for line in process.log.splitlines()]
    assert any(line["request_id"] == str(task) for line in lines), "a task's lines carry its id"
    for secret in (hub.api_key, site.key, hub.key.to_base64(), hub.tasks[task].payload):
        assert secret not in process.log


async def test_bad_settings_end_with_status_1(spawn) -> None:
    process = spawn(CENTRAL_HUB_API_URL="http://hub.example.org/api", TRUST_API_KEY="short secret")
    assert await process.status() == 1
    assert "CENTRAL_HUB_API_URL" in process.log
    assert "must be https" in process.log
    assert "TRUST_API_KEY" in process.log
    assert "short secret" not in process.log


@pytest.fixture
def good(hub, site, monkeypatch) -> pytest.MonkeyPatch:
    from trust_api_standins import environment

    for name, value in environment(hub, site).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def test_an_occupied_port_is_named(spawn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = spawn(port=port)
        assert await process.status() == 1
    assert f"cannot listen on 127.0.0.1:{port}" in process.log


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("CENTRAL_HUB_API_URL", "https://hub.example.org", "must end in /api"),
        ("CENTRAL_HUB_API_URL", "http://10.0.0.1/api", "must be https"),
        ("CENTRAL_HUB_API_URL", "ftp://hub/api", "http"),
        ("CENTRAL_HUB_API_URL", "https://user:pass@hub/api", "sign-in"),
        ("CENTRAL_HUB_API_URL", "https://hub/api?x=1", "query"),
        ("TRUST_API_KEY", "a key with spaces in it", "without spaces"),
        ("TRUST_API_KEY_HEADER", "Bad Header", "pattern"),
        ("AES_KEY_BASE64", "AAAA", "32 bytes"),
        ("EXPECTED_TRUST_ID", "Trust_1", "UUID"),
        ("POLL_INTERVAL_SECONDS", "0", "0.05"),
        ("LEASE_WAIT_SECONDS", "61", "60"),
        ("TASK_CONCURRENCY", "0", "1"),
        ("COHORT_QUERY_ROUNDING", "20", "lower the rounding"),
        ("HUB_CA_FILE", "/no/such/file", "cannot be used"),
        ("FL_PUBLIC_KEY_FILE", "/no/such/file", "No such file"),
        ("POLL_INTERVAL_SECOND", "5", "did you mean POLL_INTERVAL_SECONDS"),
    ],
)
def test_wrong_settings_are_refused_by_name(good, name: str, value: str, reason: str) -> None:
    good.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(None)
    assert reason in str(caught.value)
    if name != "COHORT_QUERY_ROUNDING":
        assert name in str(caught.value)


@pytest.mark.parametrize("url", ["https://hub.example.org/api/", "http://localhost:8/api", "http://[::1]:8/x/api"])
def test_good_hub_urls(good, url: str) -> None:
    good.setenv("CENTRAL_HUB_API_URL", url)
    settings, key = load_settings(None)
    assert settings.central_hub_api_url == url.rstrip("/")
    assert key is None


def test_only_a_public_key_is_ever_read(tmp_path: Path) -> None:
    file = tmp_path / "key.pub"
    for text, reason in (
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc", "private key; name the public one"),
        ("hello", "no OpenSSH or PEM public key"),
        ("ssh-ed25519 A", "too short or too long"),
        ("ssh-ed25519 " + "A" * 5000, "too short or too long"),
    ):
        file.write_text(text)
        with pytest.raises(SettingsError, match=reason):
            read_public_key(file)
    file.write_text("ssh-ed25519 " + "A" * 60 + " net@site\n")
    key = read_public_key(file)
    assert key
    assert key.public_key.endswith("net@site")


def test_every_setting_says_what_it_is(good) -> None:
    settings, _ = load_settings(None)
    assert all(field.description for field in type(settings).model_fields.values())
    assert len(settings.payload_keys) == 1


async def test_a_dead_poller_is_not_resurrected_by_its_lease(hub, site, spawn) -> None:
    """Until the lease has run out the task is nobody else's; then it is offered again at once."""
    hub.lease_seconds, site.hold = 1.5, True
    task = hub.add(TaskType.COHORT_QUERY, QUERY)
    first = spawn()
    await until(lambda: site.started, "the task runs")
    killed_at = time.monotonic()
    first.kill()
    site.hold = False
    second = spawn()
    await hub.answer(task)
    assert time.monotonic() - killed_at > 0.5
    second.send(signal.SIGINT)
    assert await second.status() == 0

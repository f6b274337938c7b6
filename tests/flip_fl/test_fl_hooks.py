"""Hooks in the processes of apps: what a failing app may say, and what is reported of replies."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from flip_common.wire import MetricPoint, SiteException
from flip_fl.flower.files import Failed, Refused, Replied, Roster, Rosters, RunFiles, Sent, federation_of
from flip_fl.flower.hooks.client import SiteError, guard, note_metrics, outward, parse_outward
from flip_fl.flower.hooks.server import NO_REPLY, GridHook, ReportError
from flip_fl.flower.internals import error_name
from flip_fl.flower.metrics import parse_key, points_of
from flip_fl.hub import HubAwayError, HubClient, HubRefusedError

SECRET = "patient_id=42"


@pytest.fixture(autouse=True)
def _in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # Flower's messages ask which run their process works for.
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def digest(text: str) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def raising(error: BaseException) -> Callable[[], Any]:
    """A call that raises."""

    def call() -> Any:
        raise error

    return call


@pytest.mark.parametrize("error", [ValueError(SECRET), SystemExit(SECRET), GeneratorExit(SECRET)])
def test_the_guard_lets_a_code_and_a_digest_out(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    stream, sys.__stderr__ = sys.__stderr__, sys.stderr
    try:
        with pytest.raises(SiteError) as caught:
            guard(raising(error))
    finally:
        sys.__stderr__ = stream
    assert str(caught.value) == f"FLIP: {type(error).__name__} {digest(SECRET)}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert SECRET in capsys.readouterr().err


def test_the_guard_lets_results_and_interrupts_pass() -> None:
    assert guard(lambda: 5) == 5
    with pytest.raises(KeyboardInterrupt):
        guard(raising(KeyboardInterrupt()))


def test_a_class_name_that_is_no_code_is_masked() -> None:
    error = type("patient 42 has a", (Exception,), {})
    with pytest.raises(SiteError, match=r"FLIP: Exception [0-9a-f]{64}"):
        guard(raising(error(SECRET)))


def test_an_error_an_app_answers_with_is_masked() -> None:
    reply = Message(Error(code=0, reason=SECRET), reply_to=instruction())
    assert guard(lambda: reply).error.reason == f"FLIP: AppError {digest(SECRET)}"


def test_the_site_notes_the_metrics_that_leave_it(capfd: pytest.CaptureFixture[str]) -> None:
    asked = Message(RecordDict({"config": ConfigRecord({"server-round": 3})}), dst_node_id=1, message_type="train")
    reply = Message(RecordDict({"metrics": MetricRecord({"loss": 0.1, "n": 7})}), reply_to=asked)
    note_metrics(asked, reply)
    note = capfd.readouterr().err.removeprefix("FLIP_METRICS ")
    assert json.loads(note) == {"task": "train", "round": 3, "metrics": {"loss": 0.1, "n": 7}}
    note_metrics(asked, Message(Error(code=1, reason="x"), reply_to=asked))
    assert capfd.readouterr().err == ""


def test_outward_is_read_back() -> None:
    assert parse_outward(f"<class 'x'>:<'{outward('KeyError', 'text')}'>") == ("KeyError", digest("text"))
    assert parse_outward("FLIP: KeyError text") is None


@pytest.mark.parametrize(
    ("key", "label", "number"),
    [
        ("loss", "loss", 3),
        ("loss.x_12", "loss", 12),
        ("dice@epoch.x_5", "dice@epoch", 5),
        ("a.x_", "a.x_", 3),
        ("_hidden", "m_hidden", 3),
        ("größe%", "gr__e_", 3),
        ("x" * 300, "x" * 128, 3),
        ("loss.x_9999999", "loss", 1_000_000),
    ],
)
def test_metric_keys(key: str, label: str, number: int) -> None:
    assert parse_key(key, 3) == (label, number)
    MetricPoint(trust="Trust_A", label=label, value=0.0, round=number)


def test_numbers_become_points() -> None:
    points, left_out = points_of("Trust_A", 2, [{"a": 1, "b": 0.5}, {"c": float("inf"), "d": [1.0], "e": True}])
    assert [(point.label, point.value, point.round) for point in points] == [("a", 1.0, 2), ("b", 0.5, 2)]
    assert left_out == ["c", "d", "e"]


def instruction(node: int = 1, number: int | None = 4, group: str = "") -> Message:
    """A message to a SuperNode, as if it had been sent."""
    records = RecordDict({"config": ConfigRecord({"server-round": number})} if number is not None else {})
    message = Message(records, dst_node_id=node, message_type="train", group_id=group)
    message.metadata.__dict__["_message_id"] = f"m{node}-{uuid4()}"
    return message


def reply(to: Message, metrics: dict[str, Any] | None = None, error: Error | None = None) -> Message:
    """An answer."""
    if error is not None:
        return Message(error, reply_to=to)
    return Message(RecordDict({"metrics": MetricRecord(metrics or {})}), reply_to=to)


class Hub(HubClient):
    """Takes reports in the hub's place."""

    def __init__(self) -> None:
        self.points: list[MetricPoint] = []
        self.errors: list[SiteException] = []
        self.raises: Exception | None = None

    def send_metrics(self, _: Any, points: Any) -> None:
        """Keeps or raises."""
        if self.raises:
            raise self.raises
        self.points += points

    def send_exception(self, _: Any, error: SiteException) -> None:
        """Keeps."""
        self.errors.append(error)


@pytest.fixture
def hooked(tmp_path: Path) -> SimpleNamespace:
    """A hook in a run of two sites."""
    roster = Roster(job_id=uuid4(), model_id=uuid4(), trusts=frozenset({"A", "B"}), round_timeout_seconds=30)
    rosters = Rosters(tmp_path / "rosters")
    rosters.write(roster)
    hub = Hub()
    hook = GridHook(tmp_path, rosters, hub)
    hook.begin_run(9, federation_of(roster.job_id))
    hook.learn_names(lambda: {1: "A", 2: "B"}, [1, 2])
    return SimpleNamespace(hook=hook, hub=hub, events=lambda: RunFiles(tmp_path, 9).read_events(0)[0])


def push(hooked: SimpleNamespace, *messages: Message) -> None:
    """Sends messages; the SuperLink takes them."""
    hooked.hook.pushed(messages, [message.metadata.message_id for message in messages])


def test_metrics_go_under_the_name_of_the_node_asked(hooked: SimpleNamespace) -> None:
    one, two = instruction(1), instruction(2)
    push(hooked, one, two)
    hooked.hook.pulled([reply(one, {"loss": 0.5}), reply(two, {"loss": 0.25, "dice.x_9": 1.0})])
    assert [(point.trust, point.label, point.value, point.round) for point in hooked.hub.points] == [
        ("A", "loss", 0.5, 4),
        ("B", "loss", 0.25, 4),
        ("B", "dice", 1.0, 9),
    ]
    kinds = [type(event) for event in hooked.events()]
    assert kinds == [Sent, Sent, Replied, Replied]


@pytest.mark.parametrize(("number", "group", "expected"), [(None, "6", 6), (None, "x", 0), (-1, "2", 2), (0, "2", 0)])
def test_the_round_is_the_strategys_or_the_groups(
    hooked: SimpleNamespace, number: int | None, group: str, expected: int
) -> None:
    push(hooked, instruction(1, number, group))
    assert hooked.events()[0].round == expected


def test_a_sites_error_is_relayed_and_other_texts_are_masked(hooked: SimpleNamespace) -> None:
    one, two = instruction(1), instruction(2)
    push(hooked, one, two)
    clean = Error(code=2, reason=f"<class 'SiteError'>:<'{outward('KeyError', SECRET)}'>")
    leaking = reply(two, error=Error(code=2, reason=SECRET))
    hooked.hook.pulled([reply(one, error=clean), leaking])
    assert [(error.trust, error.code, error.digest, error.round) for error in hooked.hub.errors] == [
        ("A", "KeyError", digest(SECRET), 4),
        ("B", "CLIENT_APP_RAISED_EXCEPTION", digest(SECRET), 4),
    ]
    assert SECRET not in leaking.error.reason
    assert [event.error.trust for event in hooked.events() if isinstance(event, Failed)] == ["A", "B"]


def test_who_does_not_answer_in_time_has_failed(hooked: SimpleNamespace) -> None:
    earlier = instruction(1)
    push(hooked, earlier)
    before = hooked.hook.begin()
    one, two = instruction(1), instruction(2)
    push(hooked, one, two)
    hooked.hook.pulled([reply(one)])
    hooked.hook.end(before)
    assert [(error.trust, error.code) for error in hooked.hub.errors] == [("B", NO_REPLY)]
    hooked.hook.pulled([reply(earlier)])
    assert len(hooked.hub.errors) == 1


def test_time_is_limited_by_the_job(hooked: SimpleNamespace) -> None:
    assert hooked.hook.limit(None) == hooked.hook.limit(3600.0) == 30.0
    assert hooked.hook.limit(5.0) == 5.0


def test_training_and_evaluation_do_not_overwrite_each_other(hooked: SimpleNamespace) -> None:
    train, evaluate = instruction(1), instruction(1)
    evaluate.metadata.__dict__["_message_type"] = "evaluate"
    push(hooked, train)
    hooked.hook.pulled([reply(train, {"loss": 1.0})])
    push(hooked, evaluate)
    hooked.hook.pulled([reply(evaluate, {"loss": 2.0, "dice": 3.0})])
    assert {point.label: point.value for point in hooked.hub.points} == {
        "loss": 1.0,
        "evaluate/loss": 2.0,
        "dice": 3.0,
    }


@pytest.mark.parametrize("error", [HubRefusedError("409"), HubAwayError("gone")])
def test_a_report_that_fails_stops_the_app(hooked: SimpleNamespace, error: Exception) -> None:
    hooked.hub.raises = error
    one = instruction(1)
    push(hooked, one)
    with pytest.raises(ReportError):
        hooked.hook.pulled([reply(one, {"loss": 1.0})])
    assert isinstance(hooked.events()[-1], Refused)


def test_replies_to_nothing_and_refused_messages_are_left_alone(hooked: SimpleNamespace) -> None:
    one = instruction(1)
    hooked.hook.pushed([one, instruction(3)], ["", "m3"])
    assert hooked.hook.pulled([reply(one, {"loss": 1.0})])
    assert hooked.hub.points == []
    assert hooked.events() == []


def test_a_run_without_a_roster_does_not_begin(tmp_path: Path) -> None:
    hook = GridHook(tmp_path, Rosters(tmp_path), Hub())
    with pytest.raises(LookupError):
        hook.begin_run(1, "default")


def test_names_of_errors() -> None:
    assert error_name(8) == "CLIENT_APP_CRASHED"
    assert error_name(999) == "UNKNOWN"


def hub_client(answers: list[int | Exception], patience: float = 5.0) -> HubClient:
    """A client whose hub gives these answers in turn."""
    client = HubClient("http://hub/api/internal/", "key", "X-Key", patience_seconds=patience)

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["X-Key"] == "key"
        assert request.url.path.startswith("/api/internal/models/")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={"code": "no_running_job"})

    client._client.close()
    client._client = httpx.Client(
        base_url="http://hub/api/internal", headers={"X-Key": "key"}, transport=httpx.MockTransport(handle)
    )
    return client


def test_the_hub_is_asked_again_while_it_is_away() -> None:
    answers: list[int | Exception] = [httpx.ConnectError("down"), 503, 204]
    client = hub_client(answers)
    client.send_metrics(uuid4(), [MetricPoint(trust="A", label="loss", value=1.0, round=1)])
    assert answers == [204]
    client.close()


def test_a_refusal_is_not_repeated() -> None:
    client = hub_client([409])
    with pytest.raises(HubRefusedError, match="409 no_running_job"):
        client.send_exception(uuid4(), SiteException(trust="A", code="E", digest="0" * 64))
    client.close()


def test_patience_ends() -> None:
    client = hub_client([httpx.ConnectError("down")], patience=0.3)
    with pytest.raises(HubAwayError, match="ConnectError"):
        client.send_metrics(uuid4(), [])
    client.close()


def test_the_client_is_made_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_API_INTERNAL_URL", "http://hub/api/internal")
    monkeypatch.setenv("INTERNAL_SERVICE_KEY", "flip_some_long_service_key")
    HubClient.from_environment().close()
    monkeypatch.delenv("INTERNAL_SERVICE_KEY")
    with pytest.raises(KeyError):
        HubClient.from_environment()

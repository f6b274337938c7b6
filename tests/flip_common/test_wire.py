"""Wire models: what they refuse, and that every task type has its models."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from flip_common import wire
from flip_common.wire import (
    PAYLOADS,
    RESULTS,
    CohortQueryPayload,
    ColumnStatistics,
    CreateImagingPayload,
    DisclosedCount,
    HeartbeatRequest,
    HistogramBin,
    JobState,
    JobStatus,
    MetricPoint,
    ModelStatus,
    SiteException,
    SiteKey,
    TaskError,
    TaskOutcome,
    TaskResultRequest,
    TaskType,
    UpdateUserProfilePayload,
    UpdateUserProfileResult,
    WireModel,
)
from flip_common.wire.model import MAX_ROUND


def test_every_task_type_has_a_payload_and_a_result() -> None:
    assert set(PAYLOADS) == set(RESULTS) == set(TaskType)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="projectid"):
        CreateImagingPayload.model_validate({"project_id": uuid4(), "projectid": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"suppressed": True, "value": 10},
        {"suppressed": False, "value": None},
        {"suppressed": False, "value": 13},
        {"suppressed": False, "value": -10},
    ],
)
def test_counts_that_were_not_disclosure_controlled_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DisclosedCount(threshold=10, rounding=10, **fields)


@pytest.mark.parametrize(
    ("outcome", "result", "error"),
    [
        ("SUCCEEDED", None, None),
        ("SUCCEEDED", "x", {"code": "c"}),
        ("FAILED", None, None),
        ("FAILED", "x", {"code": "c"}),
        ("FAILED", "x", None),
    ],
)
def test_a_result_has_what_its_outcome_needs(outcome: str, result: str | None, error: object) -> None:
    with pytest.raises(ValidationError):
        TaskResultRequest.model_validate({"attempt": 1, "outcome": outcome, "result": result, "error": error})


def integers(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every place of a JSON schema where an integer may stand."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer":
            yield path, schema
        for name, inner in schema.items():
            yield from integers(inner, f"{path}/{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from integers(inner, path)


def test_every_integer_on_the_wire_has_bounds_that_columns_and_json_hold() -> None:
    loose = []
    for name in wire.__all__:
        model = getattr(wire, name)
        if not isinstance(model, type) or not issubclass(model, WireModel):
            continue
        for path, schema in integers(model.model_json_schema()):
            bounded = schema.get("maximum", 2**64) <= 2**53 and schema.get("minimum", -1) >= 0
            if not bounded and "run_config" not in path:  # the hub's own, bounded where it is chosen
                loose.append(f"{name}{path}")
    assert loose == []


@pytest.mark.parametrize("number", [-1, MAX_ROUND + 1, 2**31, 2**63])
def test_rounds_that_no_column_holds_are_refused(number: int) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValidationError, match="round"):
        JobState(job_id=uuid4(), status=JobStatus.RUNNING, created_at=now, round=number)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="started_at"):
        JobState.model_validate(
            {"job_id": uuid4(), "status": "RUNNING", "created_at": datetime.now(UTC), "started_at": "2026-01-01T00:00"}
        )


def test_good_results() -> None:
    assert TaskResultRequest(attempt=1, outcome=TaskOutcome.SUCCEEDED, result="x").error is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metrics_are_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        MetricPoint(trust="Trust_1", label="loss", value=value, round=1)


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x", "x" * 64, "a/b"])
def test_odd_trust_names_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        MetricPoint(trust=name, label="loss", value=1, round=1)


def test_an_exception_leaves_as_code_and_digest_only() -> None:
    with pytest.raises(ValidationError):
        SiteException(code="ValueError: patient 1", digest="0" * 64)
    with pytest.raises(ValidationError):
        SiteException(code="ValueError", digest="patient 1")


def test_heartbeats_need_a_timezone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        HeartbeatRequest(release="1", sent_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the point of the test
    assert HeartbeatRequest(release="1", sent_at=datetime.now(UTC)).tasks_running == 0


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (CohortQueryPayload, {"query_id": uuid4(), "project_id": uuid4(), "query": "SELECT '\0'"}),
        (ColumnStatistics, {"name": "sex\0", "kind": "categorical", "bins": []}),
        (HistogramBin, {"label": "F\0", "count": 10}),
        (TaskError, {"code": "a", "detail": "\0"}),
        (SiteKey, {"public_key": "ssh-ed25519 " + "A" * 40 + "\0"}),
        (UpdateUserProfileResult, {"applied": False, "reason": "\0"}),
        (UpdateUserProfilePayload, {"username": "ada\0", "email": "ada@example.org", "enabled": True}),
    ],
)
def test_texts_that_no_database_keeps_are_refused(model: type[WireModel], fields: dict[str, Any]) -> None:
    assert model.model_validate(json.loads(json.dumps(fields, default=str).replace("\\u0000", "")))
    with pytest.raises(ValidationError, match="string_pattern_mismatch"):
        model.model_validate(fields)


def test_terminal_statuses() -> None:
    assert {status for status in ModelStatus if status.terminal} == {
        "RESULTS_UPLOADED",
        "ERROR",
        "STOPPED",
        "RESULTS_UPLOAD_FAILED",
    }
    assert {status for status in JobStatus if status.terminal} == {"FINISHED", "FAILED", "STOPPED"}

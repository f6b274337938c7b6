"""An app says which round it is in; what it says is kept within what the hub takes."""

from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from uuid import uuid4

import pytest

from flip_common.wire import FLBackend, JobSpec, JobType
from flip_common.wire.model import MAX_ROUND
from flip_fl.flower.hooks.server import _round_of
from flip_fl.store import JobRecord


@pytest.mark.parametrize(("said", "kept"), [(7, 7), (MAX_ROUND + 1, MAX_ROUND), (2**62, MAX_ROUND)])
def test_a_round_beyond_all_bounds_is_cut(said: int, kept: int) -> None:
    config = {"server-round": said}
    content = SimpleNamespace(config_records={"config": config})
    message = SimpleNamespace(content=content, has_content=lambda: True, metadata=SimpleNamespace(group_id="1"))
    assert _round_of(message) == kept
    spec = JobSpec(
        job_id=uuid4(),
        model_id=uuid4(),
        project_id=uuid4(),
        backend=FLBackend.FLOWER,
        job_type=JobType.STANDARD,
        cohort_query="SELECT 1",
        trusts=["Trust_1"],
        app_digest=sha256(b"app").hexdigest(),
    )
    assert JobRecord(spec=spec, created_at=datetime.now(UTC), round=said).state.round == kept

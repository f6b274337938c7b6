"""The envelope opens for what it was sealed for, and for nothing else."""

import base64
import json
from dataclasses import replace
from uuid import uuid4

import pytest
from pydantic import ValidationError

from flip_common.envelope import Binding, EnvelopeError, open_sealed, seal
from flip_common.keys import PayloadKey
from flip_common.wire import CohortQueryPayload, CreateImagingPayload


@pytest.fixture
def binding() -> Binding:
    return Binding(uuid4(), uuid4(), "create_imaging", "to-trust")


@pytest.fixture
def payload() -> CreateImagingPayload:
    return CreateImagingPayload(project_id=uuid4())


def test_round_trip(binding: Binding, payload: CreateImagingPayload) -> None:
    key = PayloadKey.generate()
    assert open_sealed(seal(payload, key, binding), CreateImagingPayload, [key], binding) == payload


def test_either_of_two_live_keys_opens(binding: Binding, payload: CreateImagingPayload) -> None:
    old, new = PayloadKey.generate(), PayloadKey.generate()
    for key in (old, new):
        assert open_sealed(seal(payload, key, binding), CreateImagingPayload, [old, new], binding) == payload


@pytest.mark.parametrize(
    "change",
    [{"trust_id": uuid4()}, {"task_id": uuid4()}, {"task_type": "delete_imaging"}, {"direction": "to-hub"}],
    ids=lambda change: next(iter(change)),
)
def test_bound_to_trust_task_type_and_direction(
    binding: Binding, payload: CreateImagingPayload, change: dict[str, str]
) -> None:
    key = PayloadKey.generate()
    with pytest.raises(EnvelopeError, match="something else"):
        open_sealed(seal(payload, key, binding), CreateImagingPayload, [key], replace(binding, **change))


def test_unknown_key_is_named(binding: Binding, payload: CreateImagingPayload) -> None:
    sealed_with, known = PayloadKey.generate(), PayloadKey.generate()
    with pytest.raises(EnvelopeError, match=known.kid):
        open_sealed(seal(payload, sealed_with, binding), CreateImagingPayload, [known], binding)


def test_header_cannot_be_rewritten(binding: Binding, payload: CreateImagingPayload) -> None:
    """The binding stands in the protected header: changing it breaks the authentication tag."""
    key, other = PayloadKey.generate(), replace(binding, task_id=uuid4())
    header, *rest = seal(payload, key, binding).split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    fields["flip-task"] = str(other.task_id)
    forged = base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()
    with pytest.raises(EnvelopeError, match="damaged"):
        open_sealed(".".join([forged, *rest]), CreateImagingPayload, [key], other)


@pytest.mark.parametrize("position", [0, 2, 3, 4])
def test_any_change_is_noticed(binding: Binding, payload: CreateImagingPayload, position: int) -> None:
    key = PayloadKey.generate()
    parts = seal(payload, key, binding).split(".")
    parts[position] = ("A" if parts[position][:1] != "A" else "B") + parts[position][1:]
    with pytest.raises(EnvelopeError):
        open_sealed(".".join(parts), CreateImagingPayload, [key], binding)


@pytest.mark.parametrize("text", ["", "x", "a.b.c.d.e", "....", "eyJhbGciOiJkaXIifQ....", "é" * 50])
def test_garbage_is_an_envelope_error(binding: Binding, text: str) -> None:
    with pytest.raises(EnvelopeError):
        open_sealed(text, CreateImagingPayload, [PayloadKey.generate()], binding)


def test_content_of_another_model_is_refused(binding: Binding, payload: CreateImagingPayload) -> None:
    key = PayloadKey.generate()
    with pytest.raises(ValidationError):
        open_sealed(seal(payload, key, binding), CohortQueryPayload, [key], binding)

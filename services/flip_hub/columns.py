"""Column types that every domain's tables share."""

from enum import StrEnum

from sqlalchemy import JSON, Enum
from sqlalchemy.dialects.postgresql import JSONB

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON; `JSONB` on PostgreSQL. Python `None` is SQL NULL."""


def enum_type(enum: type[StrEnum]) -> Enum:
    """Stores the enum's values as text, so a new member needs no ALTER TYPE."""
    return Enum(enum, native_enum=False, length=32, values_callable=lambda members: [m.value for m in members])

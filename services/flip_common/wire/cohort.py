"""Cohort queries: what the hub asks and the little a trust answers."""

from typing import Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from flip_common.wire.model import MAX_COUNT, Count, PlainText, Sha256Hex, Sql, WireModel


class DisclosedCount(WireModel):
    """A count that passed disclosure control. Only `flip_trust.disclosure` makes one.

    Below the threshold (a true zero included) `suppressed` is true and `value` is null, so nothing tells
    zero from few. Otherwise `value` is rounded to a multiple of `rounding`.
    """

    suppressed: bool
    value: Count | None = None
    threshold: int = Field(ge=1, le=MAX_COUNT)
    rounding: int = Field(ge=1, le=MAX_COUNT)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.suppressed != (self.value is None):
            raise ValueError("a suppressed count has no value, and any other has one")
        if self.value is not None and self.value % self.rounding:
            raise ValueError(f"value {self.value} is not a multiple of {self.rounding}")
        return self


class HistogramBin(WireModel):
    """Distinct subjects in one bin."""

    label: PlainText = Field(max_length=200)
    count: Count = Field(description="rounded; bins below the threshold are merged into 'Other'")


class ColumnStatistics(WireModel):
    """Distribution of one selected column over distinct subjects, disclosure-controlled."""

    name: PlainText = Field(max_length=200)
    kind: Literal["numeric", "categorical", "date"]
    bins: list[HistogramBin] = Field(max_length=64)


class CohortQueryPayload(WireModel):
    """Task `cohort_query`: run this query, answer with statistics only."""

    query_id: UUID
    project_id: UUID
    query: Sql


class CohortQueryResult(WireModel):
    """Answer to `cohort_query`. With `subjects` suppressed there are no columns."""

    query_id: UUID
    subjects: DisclosedCount
    columns: list[ColumnStatistics] = Field(default_factory=list, max_length=200)


class FreezeCohortPayload(WireModel):
    """Task `freeze_cohort`: fix who is in the cohort at approval. Later reads may shrink it, never grow it."""

    project_id: UUID
    query: Sql


class FreezeCohortResult(WireModel):
    """Answer to `freeze_cohort`. The digest is keyed with a secret of the site: it proves nothing to others."""

    project_id: UUID
    subjects: DisclosedCount
    accessions: DisclosedCount
    cohort_digest: Sha256Hex

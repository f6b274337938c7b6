"""Settings of data-access-api."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from flip_trust.data_access.catalogue import allowed_columns
from flip_trust.disclosure import Disclosure
from flip_trust.doors import DoorSettings


class DataAccessSettings(DoorSettings):
    """What data-access-api reads from its environment."""

    reserved_prefixes: ClassVar[tuple[str, ...]] = ("COHORT_QUERY_",)

    data_access_database_url: SecretStr = Field(
        description="postgresql:// URL of the OMOP database for the read-only role; every query runs with it"
    )
    data_access_owner_database_url: SecretStr = Field(
        description="postgresql:// URL of the same database for its owner: keeps frozen cohorts, never runs a query "
        "of a researcher; a superuser for prepare-database"
    )
    cohort_query_threshold: int = Field(
        default=10, ge=1, le=1_000_000, description="counts of distinct subjects below this are suppressed"
    )
    cohort_query_rounding: int = Field(
        default=10, ge=1, le=1_000_000, description="other counts are rounded to a multiple of this"
    )
    cohort_query_bins_per_person: int = Field(
        default=12,
        ge=1,
        le=100,
        description="bins of one answer that a person may be counted in, and so the most columns with a distribution",
    )
    cohort_query_seconds: float = Field(
        default=10,
        ge=0,
        le=3600,
        description="how long every cohort query takes: earlier answers wait, longer queries are ended and count as "
        "failed; 0: answers leave at once, and their time tells",
    )
    cohort_query_failures_per_day: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="after so many failed cohort queries of a project within 24 hours its next ones are refused",
    )
    training_cohort_minimum: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="fewest people a project may train on here; default: COHORT_QUERY_THRESHOLD",
    )
    data_access_extra_columns: str | None = Field(
        default=None,
        description="columns beyond the OMOP CDM 5.4 and its imaging extension that queries may name: "
        "table.column, table.column",
    )
    data_access_statement_timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="longest that one query may run"
    )
    data_access_row_cap: int = Field(default=500_000, ge=1, le=10_000_000, description="most rows a dataframe may have")
    data_access_max_connections: int = Field(
        default=4,
        ge=1,
        le=16,
        description="cohort queries that run at the same time, and as many reads of apps and freezes beside them; "
        "more wait for their turn",
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$", description="least severe level to log"
    )

    @model_validator(mode="after")
    def _rule_is_sound(self) -> Self:
        Disclosure(self.cohort_query_threshold, self.cohort_query_rounding)
        allowed_columns(self.data_access_extra_columns or "")
        return self

    @property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """Columns that queries may name, by table."""
        return allowed_columns(self.data_access_extra_columns or "")

    @property
    def smallest_cohort(self) -> int:
        """Fewest people a project may train on here."""
        return self.training_cohort_minimum or self.cohort_query_threshold

    @property
    def disclosure(self) -> Disclosure:
        """The site's rule for small numbers."""
        return Disclosure(self.cohort_query_threshold, self.cohort_query_rounding)

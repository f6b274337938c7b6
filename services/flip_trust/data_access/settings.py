"""Settings of data-access-api."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

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
    data_access_statement_timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="longest that one query may run"
    )
    data_access_row_cap: int = Field(default=500_000, ge=1, le=10_000_000, description="most rows a dataframe may have")
    data_access_max_connections: int = Field(
        default=4, ge=1, le=100, description="queries that run at the same time; more wait for their turn"
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR|CRITICAL)$", description="least severe level to log"
    )

    @model_validator(mode="after")
    def _rule_is_sound(self) -> Self:
        Disclosure(self.cohort_query_threshold, self.cohort_query_rounding)
        return self

    @property
    def disclosure(self) -> Disclosure:
        """The site's rule for small numbers."""
        return Disclosure(self.cohort_query_threshold, self.cohort_query_rounding)

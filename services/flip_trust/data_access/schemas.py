"""Bodies that stay inside the trust: frozen accessions and dataframes."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from flip_common.wire.model import AccessionId, Sql, WireModel

Dtype = Literal["int64", "float64", "bool", "string", "date", "datetime"]
Cell = int | float | bool | str | None


class AccessionsRequest(WireModel):
    """Body of `POST /cohort/accessions`."""

    project_id: UUID


class Accessions(WireModel):
    """Accessions of a project's frozen cohort that are still there. Stays at the site."""

    project_id: UUID
    accessions: list[AccessionId]


class DataframeRequest(WireModel):
    """Body of `POST /cohort/dataframe`."""

    project_id: UUID
    query: Sql


class DataframeColumn(WireModel):
    """Name and type of a column; dates and datetimes travel as ISO 8601 text, missing values as null."""

    name: str
    dtype: Dtype


class Dataframe(WireModel):
    """Rows of the frozen cohort's subjects. Stays at the site."""

    columns: list[DataframeColumn]
    rows: list[list[Cell]] = Field(description="one list a row, in the order of `columns`")

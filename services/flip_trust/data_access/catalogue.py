"""Which tables and columns a query may name, and what kind of value each column holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from flip_trust.data_access.cdm import CDM_COLUMNS

SCHEMA = "omop"

PERSONAL_TABLES = frozenset(
    {
        "person",
        "observation_period",
        "visit_occurrence",
        "visit_detail",
        "condition_occurrence",
        "drug_exposure",
        "procedure_occurrence",
        "device_exposure",
        "measurement",
        "observation",
        "death",
        "specimen",
        "payer_plan_period",
        "drug_era",
        "dose_era",
        "condition_era",
        "episode",
        "image_occurrence",
        "image_feature",
    }
)
"""Tables of which every row belongs to one person, named by `person_id`."""

SHARED_TABLES = frozenset(
    {
        "care_site",
        "concept",
        "concept_ancestor",
        "concept_class",
        "concept_relationship",
        "concept_synonym",
        "domain",
        "drug_strength",
        "relationship",
        "source_to_concept_map",
        "vocabulary",
    }
)
"""Vocabulary and the like: nothing in them is about a person."""

ALLOWED_TABLES = PERSONAL_TABLES | SHARED_TABLES

REFUSED_TABLES: Mapping[str, str] = MappingProxyType(
    {
        "note": "free text may name people",
        "note_nlp": "free text may name people",
        "location": "addresses identify people",
        "provider": "it names staff",
        "cost": "its rows carry no person_id, so they cannot be tied to the counted subject",
        "fact_relationship": "its rows carry no person_id, so they cannot be tied to the counted subject",
        "episode_event": "its rows carry no person_id, so they cannot be tied to the counted subject",
        "cohort": "it holds other people's cohorts",
        "cohort_definition": "it holds other people's cohorts",
        "metadata": "it describes the site",
        "cdm_source": "it describes the site",
    }
)
"""CDM tables that no query may read, and why."""


_EXTRA = re.compile(r"([a-z][a-z0-9_]{0,62})\.([a-z][a-z0-9_]{0,62})")


def allowed_columns(extra: str = "") -> Mapping[str, frozenset[str]]:
    """Columns that a query may name, by table: those of the CDM, and the site's own as `table.column, table.column`.

    Raises:
        ValueError: an item is not of that form, or names a table that no query may read.
    """
    allowed = dict(CDM_COLUMNS)
    for item in filter(None, (part.strip() for part in extra.split(","))):
        match = _EXTRA.fullmatch(item)
        if match is None or match[1] not in ALLOWED_TABLES:
            raise ValueError(f"{item!r} is no column that can be allowed; write table.column, of a table of the CDM")
        allowed[match[1]] |= {match[2]}
    return MappingProxyType(allowed)


class Kind(StrEnum):
    """What a column's values may be used for."""

    PLAIN = "plain"
    IDENTIFIER = "identifier"
    BIRTH = "birth"
    FREE_TEXT = "free text"


@dataclass(frozen=True)
class Column:
    """A column as the guard sees it. Identifiers of one `domain` may be compared with each other only.

    A nullable identifier does not tell people apart: rows where it is missing look like rows of one person.
    """

    kind: Kind = Kind.PLAIN
    domain: str = ""
    text: bool = False
    nullable: bool = False


# Keys that mean the same thing under another name.
_SAME_DOMAIN = MappingProxyType(
    {
        "preceding_visit_occurrence_id": "visit_occurrence_id",
        "preceding_visit_detail_id": "visit_detail_id",
        "parent_visit_detail_id": "visit_detail_id",
        "episode_parent_id": "episode_id",
    }
)
_IDENTIFIER = re.compile(r".*(_id|_source_value|_uid|_uri|_path|_url)|lot_number")
_NOT_IDENTIFIER = re.compile(r".*_concept_id|care_site_id")
_BIRTH = frozenset({"birth_datetime", "month_of_birth", "day_of_birth"})
_FREE_TEXT = frozenset({"value_as_string", "sig", "stop_reason"})
_TEXT_TYPE = re.compile(r"(character|varchar|text|char|bpchar).*", re.IGNORECASE)


def classify(table: str, column: str, sql_type: str) -> Column:
    """What kind of values `table.column` holds, by the naming rules of the CDM."""
    text = bool(_TEXT_TYPE.match(sql_type))
    if table in PERSONAL_TABLES:
        if column in _BIRTH:
            return Column(Kind.BIRTH, column, text)
        if column in _FREE_TEXT:
            return Column(Kind.FREE_TEXT, column, text)
        if _IDENTIFIER.fullmatch(column) and not _NOT_IDENTIFIER.fullmatch(column):
            return Column(Kind.IDENTIFIER, _SAME_DOMAIN.get(column, column), text)
    return Column(text=text)


@dataclass(frozen=True)
class Catalogue:
    """Columns and their SQL types of every table that a query may name: `tables[table][column] = type`."""

    tables: Mapping[str, Mapping[str, str]]

    def __post_init__(self) -> None:
        unknown = set(self.tables) - ALLOWED_TABLES
        if unknown:
            raise ValueError(f"tables {sorted(unknown)} are not on the allow-list")

    def columns(self, table: str) -> dict[str, Column]:
        """The table's columns, classified."""
        return {name: classify(table, name, sql_type) for name, sql_type in self.tables[table].items()}

    def schema(self) -> dict[str, object]:
        """The catalogue as sqlglot wants it: schema, table, column, type."""
        return {SCHEMA: {table: dict(columns) for table, columns in self.tables.items()}}

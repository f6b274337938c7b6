"""Fills a trust's OMOP database: CDM 5.4, the trust's share of the sample, and the imaging extension."""

from collections.abc import Iterable
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from flipctl.data.manifest import Manifest, Study, StudyKind, TrustData
from flipctl.data.sample import package_folder, split_persons, table_files

if TYPE_CHECKING:
    import asyncpg

SCHEMA = "omop"
MR_CONCEPT, CT_CONCEPT = 4013636, 4300757
"""SNOMED "Magnetic resonance imaging" and "Computed tomography" in OMOP's vocabulary."""
BRAIN_CONCEPT, GREY_CONCEPT, WHITE_CONCEPT = 2_000_000_001, 2_000_000_002, 2_000_000_003
"""Concepts of the site's own: OMOP leaves ids above two billion to sites."""
_IMAGING_SQL = Path(__file__).parent / "imaging.sql"
FIRST_STUDY_ROW = 1_000_000
EHR_ORDER_CONCEPT = 38000275

DEMO_QUERY = (
    "SELECT p.person_id, io.accession_id, p.year_of_birth, p.gender_concept_id "
    "FROM omop.person p JOIN omop.image_occurrence io ON io.person_id = p.person_id "
    "WHERE io.modality_concept_id = 4013636 AND io.anatomic_site_concept_id = 2000000001"
)
"""The demo researcher's cohort: everyone with an MR of the brain."""

_CONCEPTS = (
    (MR_CONCEPT, "Magnetic resonance imaging", "Procedure", "SNOMED", "Procedure", "S", "113091000"),
    (CT_CONCEPT, "Computed tomography", "Procedure", "SNOMED", "Procedure", "S", "77477000"),
    (BRAIN_CONCEPT, "Brain", "Spec Anatomic Site", "FLIP demo", "Body Structure", None, "12738006"),
    (GREY_CONCEPT, "Grey matter segmented", "Observation", "FLIP demo", "Finding", None, "389081007"),
    (WHITE_CONCEPT, "White matter segmented", "Observation", "FLIP demo", "Finding", None, "389080008"),
)


async def load_omop(dsn: str, manifest: Manifest, trust: str, *, replace: bool = False) -> dict[str, int]:
    """Creates schema `omop` in the database and fills it for one trust; returns rows by table.

    All happens in one transaction. Readers' roles and rights are the data-access-api's business, afterwards.

    Args:
        dsn: a PostgreSQL URL of a user who may create schemas.
        replace: drop an `omop` schema that is there already.

    Raises:
        KeyError: the manifest has no such trust.
        FileExistsError: the schema exists and `replace` is false.
    """
    import asyncpg  # noqa: PLC0415 - flipctl starts without the demo's packages

    data = manifest.trusts[trust]
    index = list(manifest.trusts).index(trust)
    persons = split_persons(manifest.seed, len(manifest.trusts))[index]
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            rows = await _load(connection, data, persons, replace)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return rows


async def _load(
    connection: "asyncpg.Connection", data: TrustData, persons: frozenset[int], replace: bool
) -> dict[str, int]:
    if await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
        if not replace:
            raise FileExistsError(f"schema {SCHEMA} exists in this database; pass replace=True to rebuild it")
        await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    await connection.execute(_script("ddl.sql"))
    await connection.execute(_IMAGING_SQL.read_text(encoding="utf-8"))
    rows = {}
    for table, path in table_files().items():
        columns, lines = _share(path, persons)
        await connection.copy_to_table(
            table, schema_name=SCHEMA, columns=columns, source=BytesIO(b"".join(lines)), format="csv"
        )
        rows[table] = len(lines)
    rows |= await _add_studies(connection, data.studies)
    await connection.execute(_script("primary_keys.sql"))
    await connection.execute(_script("indices.sql"))
    return rows


def _script(name: str) -> str:
    text = (package_folder() / "scripts" / "pg" / "omop5_4" / name).read_text(encoding="utf-8")
    return text.replace("@cdmDatabaseSchema", SCHEMA)


def _share(path: Path, persons: frozenset[int]) -> tuple[list[str], list[bytes]]:
    """Columns and lines of a sample file, of tables about persons only those persons'."""
    header, *lines = path.read_bytes().splitlines(keepends=True)
    columns = header.decode().strip().split(",")
    if "person_id" in columns:
        place = columns.index("person_id")
        ids = {str(person).encode() for person in persons}
        # The columns up to person_id are plain numbers: no quoting to mind.
        lines = [line for line in lines if line.split(b",", place + 1)[place] in ids]
    return columns, lines


async def _add_studies(connection: "asyncpg.Connection", studies: list[Study]) -> dict[str, int]:
    always = (date(1970, 1, 1), date(2099, 12, 31))
    known = {row["concept_id"] for row in await connection.fetch("SELECT concept_id FROM omop.concept")}
    concepts = [(*concept, *always, None) for concept in _CONCEPTS if concept[0] not in known]
    await _copy_rows(connection, "concept", concepts)
    numbered = [(FIRST_STUDY_ROW + number, study) for number, study in enumerate(studies)]
    await _copy_rows(
        connection,
        "procedure_occurrence",
        [_procedure(row, study) for row, study in numbered],
        columns=(
            "procedure_occurrence_id",
            "person_id",
            "procedure_concept_id",
            "procedure_date",
            "procedure_datetime",
            "procedure_type_concept_id",
            "visit_occurrence_id",
            "procedure_source_value",
        ),
    )
    images = [_image(row, study) for row, study in numbered]
    await _copy_rows(connection, "image_occurrence", images)
    features = [
        feature for row, study in numbered if study.kind is StudyKind.BRAIN for feature in _features(row, study)
    ]
    await _copy_rows(connection, "image_feature", features)
    return {"image_occurrence": len(images), "image_feature": len(features)}


async def _copy_rows(
    connection: "asyncpg.Connection",
    table: str,
    rows: Iterable[tuple[object, ...]],
    columns: tuple[str, ...] | None = None,
) -> None:
    await connection.copy_records_to_table(table, schema_name=SCHEMA, records=rows, columns=columns)


def _modality(study: Study) -> int:
    return MR_CONCEPT if study.modality == "MR" else CT_CONCEPT


def _procedure(row: int, study: Study) -> tuple[object, ...]:
    brain = study.kind is not StudyKind.GENUINE
    return (
        row,
        study.person_id,
        _modality(study),
        study.study_date,
        datetime.combine(study.study_date, time(9)),
        EHR_ORDER_CONCEPT,
        study.visit_occurrence_id,
        "MR brain" if brain else f"{study.modality} other",
    )


def _image(row: int, study: Study) -> tuple[object, ...]:
    brain = study.kind is not StudyKind.GENUINE
    return (
        row,
        study.person_id,
        row,
        study.visit_occurrence_id,
        BRAIN_CONCEPT if brain else 0,
        None,
        None,
        study.study_date,
        study.study_uid,
        study.series_uid,
        _modality(study),
        study.accession,
    )


def _features(row: int, study: Study) -> list[tuple[object, ...]]:
    return [
        (
            2 * row + offset,
            study.person_id,
            row,
            None,
            None,
            concept,
            None,
            None,
            None,
            BRAIN_CONCEPT,
            "DICOM-SEG",
            None,
        )
        for offset, concept in enumerate((GREY_CONCEPT, WHITE_CONCEPT))
    ]

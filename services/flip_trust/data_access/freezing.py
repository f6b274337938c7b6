"""Frozen cohorts: who is in a project, fixed at approval. Later reads may shrink it, never grow it.

A researcher's query always runs with the reading role; what it found is written by the owner, into a schema that the
reading role cannot see.
"""
# ruff: noqa: S608 - the SQL is made of constants, checked names and the guard's own re-emitted text

import hashlib
import hmac
import logging
import re
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from flip_common.web import Problem
from flip_trust.data_access.catalogue import SCHEMA
from flip_trust.data_access.database import Database
from flip_trust.data_access.guard import GuardedQuery

# What imaging accepts as an accession; anything else could be a wildcard to the PACS.
_ACCESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}")

log = logging.getLogger(__name__)

STUDIES = f"""SELECT accession_id, min(person_id) AS person_id FROM {SCHEMA}.image_occurrence
               WHERE accession_id IS NOT NULL GROUP BY accession_id HAVING count(DISTINCT person_id) = 1"""
"""Studies with the person each belongs to. An accession that several people share names nobody."""

_LIVE = f"""SELECT f.accession_id, f.person_id FROM flip.frozen_accession f
            JOIN flip.frozen_subject s ON s.project_id = f.project_id AND s.person_id = f.person_id
            JOIN {SCHEMA}.person p ON p.person_id = f.person_id
            JOIN ({STUDIES}) st ON st.accession_id = f.accession_id AND st.person_id = f.person_id
            WHERE f.project_id = $1"""

_SHRINK = (
    "DELETE FROM flip.frozen_subject f WHERE project_id = $1 AND NOT EXISTS "
    "(SELECT FROM unnest($2::text[]) AS n(person_id) WHERE n.person_id::bigint = f.person_id)",
    "DELETE FROM flip.frozen_accession f WHERE project_id = $1 AND NOT EXISTS "
    "(SELECT FROM unnest($2::text[], $3::text[]) AS n(accession_id, person_id) "
    "WHERE n.accession_id = f.accession_id AND n.person_id::bigint = f.person_id)",
)
_FILL = (
    "INSERT INTO flip.frozen_subject SELECT $1::uuid, unnest($2::text[])::bigint",
    "INSERT INTO flip.frozen_accession SELECT $1::uuid, unnest($2::text[]), unnest($3::text[])::bigint",
)


@dataclass(frozen=True)
class Members:
    """Who a query found: distinct people, and distinct studies with the person each belongs to.

    Everything is text: of arrays asyncpg knows only text[] without calling set_config, which the reader may not.
    """

    persons: list[str]
    accessions: list[str]
    accession_persons: list[str]


@dataclass(frozen=True)
class Frozen:
    """A frozen cohort's exact size (for the site alone) and its digest, keyed with the site's secret."""

    subjects: int
    accessions: int
    digest: str


async def freeze(reader: Database, owner: Database, project_id: UUID, query: GuardedQuery, minimum: int) -> Frozen:
    """Fixes a project's cohort. The first time it is what the query finds; after that, what both have in common.

    Accessions are frozen only when the query selects `accession_id`. A cohort of fewer than `minimum` people, or of
    fewer people with studies where it selects them, is refused: a first one is not kept, a later one stays shrunk.

    Raises:
        Problem: 403 `cohort_too_small`; the query fails in the database, or the database is down.
    """
    found = await _find(reader, query)
    async with owner.transaction(readonly=False) as connection:
        first = await connection.fetchval(
            "INSERT INTO flip.frozen_cohort (project_id, query) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true",
            project_id,
            query.sql,
        )
        if not first:
            await connection.execute(
                "UPDATE flip.frozen_cohort SET last_frozen_at = now(), query = $2 WHERE project_id = $1",
                project_id,
                query.sql,
            )
        persons, accessions = _FILL if first else _SHRINK
        await connection.execute(persons, project_id, found.persons)
        await connection.execute(accessions, project_id, found.accessions, found.accession_persons)
        summary = await _summary(connection, project_id)
        people = await connection.fetchval(
            "SELECT count(DISTINCT person_id) FROM flip.frozen_accession WHERE project_id = $1", project_id
        )
        small = summary.subjects < minimum or (query.has_accession and people < minimum)
        if small and first:
            raise _too_small(project_id, minimum)
    if small:
        raise _too_small(project_id, minimum)
    return summary


def _too_small(project_id: UUID, minimum: int) -> Problem:
    # The same for nobody as for few, and for people as for people with studies.
    return Problem(
        403,
        "cohort_too_small",
        f"the cohort of project {project_id} has fewer than {minimum} people, or fewer with studies, at this site, "
        "which is too few to train on (TRAINING_COHORT_MINIMUM)",
    )


async def _find(reader: Database, query: GuardedQuery) -> Members:
    sql = f"WITH q AS MATERIALIZED ({query.sql})"
    if query.has_accession:
        same = " AND st.person_id = q.person_id" if query.has_person else ""
        sql += (
            f", s AS MATERIALIZED (SELECT DISTINCT st.accession_id, st.person_id FROM q JOIN ({STUDIES}) st"
            f" ON st.accession_id = q.accession_id{same})"
        )
    people = "q" if query.has_person else "s"
    sql += (
        f" SELECT (SELECT array_agg(person_id::text) FROM (SELECT DISTINCT x.person_id FROM {people} x"
        f" JOIN {SCHEMA}.person p ON p.person_id = x.person_id) d) AS persons"
    )
    if query.has_accession:
        sql += ", (SELECT array_agg(accession_id::text ORDER BY accession_id) FROM s) AS accessions"
        sql += ", (SELECT array_agg(person_id::text ORDER BY accession_id) FROM s) AS accession_persons"
    async with reader.transaction(readonly=True) as connection:
        row = await connection.fetchrow(sql)
    if not query.has_accession:
        return Members(row["persons"] or [], [], [])
    return Members(row["persons"] or [], row["accessions"] or [], row["accession_persons"] or [])


async def _summary(connection: asyncpg.Connection, project_id: UUID) -> Frozen:
    row = await connection.fetchrow(
        """SELECT (SELECT secret FROM flip.site_secret) AS secret, p.n AS subjects, a.n AS accessions,
                  sha256(convert_to(p.list || '|' || a.list, 'UTF8')) AS content
           FROM (SELECT count(*) AS n, coalesce(string_agg(person_id::text, ',' ORDER BY person_id), '') AS list
                 FROM flip.frozen_subject WHERE project_id = $1) p,
                (SELECT count(*) AS n,
                        coalesce(string_agg(accession_id, ',' ORDER BY accession_id COLLATE "C"), '') AS list
                 FROM flip.frozen_accession WHERE project_id = $1) a""",
        project_id,
    )
    if row["secret"] is None:
        raise Problem(
            503,
            "database_unavailable",
            "the site's secret is missing; run 'python -m flip_trust.data_access prepare-database'",
        )
    digest = hmac.new(row["secret"], project_id.bytes + row["content"], hashlib.sha256).hexdigest()
    return Frozen(row["subjects"], row["accessions"], digest)


async def frozen_members(owner: Database, project_id: UUID, minimum: int) -> Members:
    """The frozen cohort, less the people and studies that have left the database since.

    Raises:
        Problem: 403 `cohort_not_frozen` when the project has none here; 403 `cohort_too_small` when fewer than
            `minimum` people are left, or fewer with studies where it has studies.
    """
    async with owner.transaction(readonly=True) as connection:
        row = await connection.fetchrow(
            f"""WITH live AS MATERIALIZED ({_LIVE})
               SELECT EXISTS (SELECT FROM flip.frozen_cohort WHERE project_id = $1) AS frozen,
                   EXISTS (SELECT FROM flip.frozen_accession WHERE project_id = $1) AS with_studies,
                   (SELECT array_agg(f.person_id::text) FROM flip.frozen_subject f
                    JOIN {SCHEMA}.person p ON p.person_id = f.person_id WHERE f.project_id = $1) AS persons,
                   (SELECT array_agg(f.accession_id ORDER BY f.accession_id COLLATE "C") FROM live f) AS accessions,
                   (SELECT array_agg(f.person_id::text ORDER BY f.accession_id COLLATE "C") FROM live f)
                   AS accession_persons""",
            project_id,
        )
    if not row["frozen"]:
        raise Problem(
            403,
            "cohort_not_frozen",
            f"project {project_id} has no frozen cohort at this site; it is frozen when the trust approves the project",
        )
    members = Members(row["persons"] or [], row["accessions"] or [], row["accession_persons"] or [])
    few_with_studies = row["with_studies"] and len(set(members.accession_persons)) < minimum
    if len(members.persons) < minimum or few_with_studies:
        raise _too_small(project_id, minimum)
    return members


async def frozen_accessions(owner: Database, project_id: UUID, minimum: int) -> list[str]:
    """The project's accessions, sorted, for imaging.

    Raises:
        Problem: 403 `cohort_not_frozen` or `cohort_too_small`.
    """
    members = await frozen_members(owner, project_id, minimum)
    usable = [item for item in members.accessions if _ACCESSION.fullmatch(item)]
    if len(usable) != len(members.accessions):
        log.warning(
            "accessions that no PACS query may carry are left out",
            extra={"project_id": str(project_id), "left_out": len(members.accessions) - len(usable)},
        )
    return usable

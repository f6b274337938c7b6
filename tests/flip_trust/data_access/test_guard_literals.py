"""Literals on people, in their disguises. Each line: id, reason code (or ALLOWED), query."""

from typing import Any

import pytest

ALLOWED = "allowed"
P = "SELECT p.person_id FROM omop.person p "
IO = "SELECT io.accession_id FROM omop.image_occurrence io "

QUERIES = (
    (
        "group by person",
        ALLOWED,
        "SELECT person_id, count(*) AS n FROM measurement GROUP BY person_id HAVING count(*) > 1",
    ),
    (
        "count persons",
        ALLOWED,
        "SELECT person_id, count(DISTINCT visit_occurrence_id) AS visits FROM visit_occurrence GROUP BY person_id",
    ),
    ("null test", ALLOWED, IO + "WHERE io.accession_id IS NOT NULL"),
    ("year of birth", ALLOWED, "SELECT person_id, extract(year FROM birth_datetime) AS y FROM person"),
    ("equality", "person_literal", P + "WHERE p.person_id = 42"),
    ("reversed", "person_literal", P + "WHERE 42 = p.person_id"),
    ("in list", "person_literal", P + "WHERE p.person_id IN (1, 2, 3)"),
    ("not equal", "person_literal", P + "WHERE p.person_id <> 42"),
    ("between", "person_literal", P + "WHERE p.person_id BETWEEN 1 AND 42"),
    ("less", "person_literal", P + "WHERE p.person_id < 42"),
    ("is distinct from", "person_literal", P + "WHERE p.person_id IS DISTINCT FROM 42"),
    ("text cast", "person_literal", P + "WHERE p.person_id::text = '42'"),
    ("arithmetic", "person_literal", P + "WHERE p.person_id + 0 = 42"),
    ("modulo", "person_literal", P + "WHERE p.person_id % 2 = 0"),
    ("negation", "person_literal", P + "WHERE -p.person_id = -42"),
    ("abs", "person_literal", P + "WHERE abs(p.person_id) = 42"),
    ("concatenation", "person_literal", P + "WHERE p.person_id || '' = '42'"),
    ("like", "person_literal", IO + "WHERE io.accession_id LIKE 'ACC00001%'"),
    ("case", "person_literal", P + "WHERE CASE p.person_id WHEN 42 THEN true END"),
    ("nullif", "person_literal", P + "WHERE nullif(p.person_id, 42) IS NULL"),
    ("coalesce with literal", "person_literal", "SELECT coalesce(p.person_id, 1) AS person_id FROM person p"),
    ("greatest", "person_literal", P + "WHERE greatest(p.person_id, 42) = 42"),
    ("max person", "person_literal", "SELECT person_id, max(measurement_id) AS m FROM measurement GROUP BY person_id"),
    ("md5", "function", P + "WHERE md5(p.person_id::text) = 'x'"),
    ("hash", "function", P + "WHERE hashtext(p.person_source_value) = 1"),
    ("any array", "any_all", P + "WHERE p.person_id = ANY(ARRAY[42])"),
    ("any subquery", "any_all", P + "WHERE p.person_id = ANY(SELECT concept_id FROM concept)"),
    ("row value", "row_value", P + "WHERE (p.person_id, 1) = (42, 1)"),
    ("values join", "values", "SELECT p.person_id FROM person p JOIN (VALUES (42)) v(id) ON v.id = p.person_id"),
    ("select literal", "values", "SELECT p.person_id FROM person p JOIN (SELECT 42 AS id) v ON v.id = p.person_id"),
    (
        "literal from a table",
        "person_literal",
        "SELECT p.person_id FROM person p JOIN (SELECT 42 AS id FROM concept) v ON v.id = p.person_id",
    ),
    (
        "join to concept by number",
        "person_literal",
        "SELECT p.person_id FROM person p JOIN concept c ON c.concept_id = p.person_id",
    ),
    ("in concepts", "not_tied", P + "WHERE p.person_id IN (SELECT concept_id FROM concept WHERE concept_id = 5001)"),
    (
        "renamed in a subquery",
        "person_literal",
        "SELECT s.person_id FROM (SELECT person_id, person_id AS x FROM person) s WHERE s.x = 42",
    ),
    (
        "renamed in a cte",
        "person_literal",
        "WITH s AS (SELECT person_id, person_id AS x FROM person) SELECT s.person_id FROM s WHERE s.x = 42",
    ),
    ("through a union", "set_operation", "SELECT person_id FROM person UNION SELECT concept_id FROM concept"),
    ("having", "person_literal", "SELECT person_id FROM person GROUP BY person_id HAVING person_id = 42"),
    (
        "filter clause",
        "person_literal",
        "SELECT person_id, count(*) FILTER (WHERE person_id = 42) AS n FROM person GROUP BY person_id",
    ),
    (
        "on clause",
        "person_literal",
        "SELECT p.person_id FROM person p JOIN measurement m ON m.person_id = p.person_id AND m.person_id = 42",
    ),
    ("order expression", "person_literal", P + "ORDER BY p.person_id = 42"),
    ("accession", "person_literal", IO + "WHERE io.accession_id = 'ACC000042'"),
    ("study uid", "person_literal", IO + "WHERE io.image_study_uid = '2.25.42'"),
    ("source value", "person_literal", P + "WHERE p.person_source_value = 'abc'"),
    ("gender source value", "person_literal", P + "WHERE p.gender_source_value = 'M'"),
    ("record id", "person_literal", "SELECT person_id FROM measurement WHERE measurement_id = 7"),
    ("visit id", "person_literal", "SELECT person_id FROM visit_occurrence WHERE visit_occurrence_id IN (7, 8)"),
    ("free text", "free_text", "SELECT person_id FROM observation WHERE value_as_string LIKE '%Smith%'"),
    ("birth day", "birth_date", P + "WHERE p.birth_datetime = '1974-12-06'"),
    ("birth range", "birth_date", P + "WHERE p.birth_datetime BETWEEN '1974-12-06' AND '1974-12-07'"),
    ("birth month", "birth_date", P + "WHERE p.month_of_birth = 12"),
    ("day of birth shown", "birth_date", "SELECT p.person_id, p.day_of_birth FROM person p"),
    ("birth month extracted", "birth_date", P + "WHERE extract(month FROM p.birth_datetime) = 12"),
    ("birth truncated to month", "birth_date", P + "WHERE date_trunc('month', p.birth_datetime) = '1974-12-01'"),
    ("birth as text", "birth_date", P + "WHERE p.birth_datetime::text LIKE '1974-12-06%'"),
)


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES])
async def test_verdict(verdict: Any, reason: str, sql: str) -> None:
    await verdict(reason, sql)

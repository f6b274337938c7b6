"""Picking rows, people who decide about others, the counted subject. Each line: id, reason (or ALLOWED), query."""

from typing import Any

import pytest

ALLOWED = "allowed"
P = "SELECT p.person_id FROM omop.person p "
IO = "SELECT io.accession_id FROM omop.image_occurrence io "

QUERIES = (
    # ---- picking rows, and people who decide about others
    (
        "latest per person",
        ALLOWED,
        "SELECT s.person_id, s.v FROM (SELECT person_id, value_as_number AS v, row_number() OVER "
        "(PARTITION BY person_id ORDER BY measurement_date DESC, measurement_id) AS rn FROM measurement) s "
        "WHERE s.rn = 1",
    ),
    ("exists", ALLOWED, P + "WHERE EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id)"),
    ("not exists", ALLOWED, P + "WHERE NOT EXISTS (SELECT 1 FROM observation o WHERE o.person_id = p.person_id)"),
    (
        "in persons",
        ALLOWED,
        P + "WHERE p.person_id IN (SELECT m.person_id FROM measurement m WHERE m.value_as_number > 120)",
    ),
    (
        "own maximum",
        ALLOWED,
        "SELECT p.person_id, (SELECT max(m.value_as_number) FROM measurement m "
        "WHERE m.person_id = p.person_id) AS worst FROM person p",
    ),
    (
        "left join",
        ALLOWED,
        "SELECT p.person_id, m.value_as_number FROM person p LEFT JOIN measurement m "
        "ON m.person_id = p.person_id AND m.value_as_number > 120",
    ),
    ("using", ALLOWED, "SELECT person_id, value_as_number FROM person JOIN measurement USING (person_id)"),
    ("division", ALLOWED, "SELECT person_id, value_as_number / (value_as_number - 101) AS r FROM measurement"),
    ("limit", "row_picking", P + "ORDER BY p.person_id LIMIT 11"),
    ("offset", "row_picking", P + "OFFSET 3"),
    ("fetch first", "row_picking", P + "FETCH FIRST 3 ROWS ONLY"),
    ("limit inside", "row_picking", "SELECT s.person_id FROM (SELECT person_id FROM person LIMIT 3) s"),
    ("distinct on", "row_picking", "SELECT DISTINCT ON (year_of_birth) person_id FROM person"),
    (
        "window over all",
        "window",
        "SELECT s.person_id FROM (SELECT person_id, row_number() OVER (ORDER BY person_id) AS rn "
        "FROM person) s WHERE s.rn = 42",
    ),
    (
        "window over all who lack a row",
        "window",
        "SELECT s.person_id FROM (SELECT p.person_id, max(CASE WHEN p.year_of_birth = 1931 THEN 1 ELSE 0 END) OVER "
        "(PARTITION BY c.person_id) AS hit FROM person p LEFT JOIN condition_occurrence c "
        "ON c.person_id = p.person_id AND c.condition_concept_id = 1) s WHERE s.hit = 1",
    ),
    (
        "window over all who lack a row of a subquery",
        "window",
        "SELECT s.person_id, count(*) OVER (PARTITION BY s.other) AS n FROM (SELECT p.person_id, c.person_id AS other "
        "FROM person p LEFT JOIN condition_occurrence c ON c.person_id = p.person_id) s",
    ),
    (
        "window over studies without accession",
        "window",
        "SELECT person_id, count(*) OVER (PARTITION BY accession_id) AS n FROM image_occurrence",
    ),
    (
        "window over a person's studies",
        ALLOWED,
        "SELECT person_id, count(*) OVER (PARTITION BY person_id, accession_id) AS n FROM image_occurrence",
    ),
    (
        "left join using, then a window",
        ALLOWED,
        "SELECT s.person_id, rank() OVER (PARTITION BY s.person_id ORDER BY s.value_as_number) AS r FROM "
        "(SELECT person_id, m.value_as_number FROM person LEFT JOIN measurement m USING (person_id)) s",
    ),
    (
        "tie by a placeholder accession",
        "not_tied",
        IO + "WHERE EXISTS (SELECT 1 FROM image_occurrence x JOIN measurement m ON m.person_id = x.person_id "
        "WHERE x.accession_id = io.accession_id AND m.value_as_number > 900)",
    ),
    (
        "grouped by a placeholder accession",
        "aggregate",
        "SELECT accession_id, max(image_occurrence_date) AS last FROM image_occurrence GROUP BY accession_id",
    ),
    (
        "grouped by person and accession",
        ALLOWED,
        "SELECT io.person_id, io.accession_id, count(*) AS n FROM image_occurrence io "
        "GROUP BY io.person_id, io.accession_id",
    ),
    (
        "in accessions",
        "not_tied",
        IO + "WHERE io.accession_id IN (SELECT x.accession_id FROM image_occurrence x)",
    ),
    (
        "named window",
        "construct",
        "SELECT person_id, rank() OVER w AS r FROM person WINDOW w AS (ORDER BY year_of_birth)",
    ),
    (
        "cross join",
        "not_tied",
        "SELECT a.person_id, b.year_of_birth FROM person a CROSS JOIN person b WHERE b.year_of_birth = 1931",
    ),
    (
        "cross join behind an outer join",
        "not_tied",
        "SELECT a.person_id FROM person a CROSS JOIN person b LEFT JOIN "
        "measurement m ON m.person_id = a.person_id AND m.person_id = b.person_id",
    ),
    (
        "tie inside or",
        "not_tied",
        "SELECT a.person_id FROM person a JOIN person b ON a.person_id = b.person_id OR true",
    ),
    ("tie by year", "not_tied", "SELECT a.person_id FROM person a JOIN person b ON a.year_of_birth = b.year_of_birth"),
    (
        "tie by visit",
        "not_tied",
        "SELECT a.person_id FROM visit_occurrence a JOIN measurement b "
        "ON a.visit_occurrence_id = b.visit_occurrence_id",
    ),
    ("oracle exists", "not_tied", P + "WHERE EXISTS (SELECT 1 FROM person q WHERE q.year_of_birth = 1931)"),
    ("oracle count", "not_tied", P + "WHERE (SELECT count(*) FROM condition_occurrence) > 7000"),
    ("oracle in", "not_tied", P + "WHERE 1931 IN (SELECT q.year_of_birth FROM person q)"),
    ("oracle by the outer id", "not_tied", P + "WHERE p.person_id IN (SELECT p.person_id FROM measurement m)"),
    (
        "oracle by a coalesced outer id",
        "not_tied",
        P + "WHERE p.person_id IN (SELECT coalesce(p.person_id, m.person_id) FROM measurement m)",
    ),
    (
        "oracle by the outer id in a union",
        "not_tied",
        P + "WHERE p.person_id IN (SELECT m.person_id FROM measurement m UNION SELECT p.person_id FROM observation o)",
    ),
    ("literal in a list of the outer id", "not_tied", P + "WHERE 42 IN (SELECT p.person_id FROM concept c)"),
    (
        "concept in a list of the outer id",
        "not_tied",
        "SELECT p.person_id FROM person p JOIN concept c ON c.concept_id IN (SELECT p.person_id FROM concept d)",
    ),
    ("value in", "not_tied", P + "WHERE (SELECT q.year_of_birth FROM person q) IN (1931)"),
    (
        "order of a union",
        "construct",
        "SELECT person_id FROM person UNION SELECT person_id FROM measurement ORDER BY (SELECT 1 FROM person)",
    ),
    ("oracle not in", "in_position", P + "WHERE p.person_id NOT IN (SELECT m.person_id FROM measurement m)"),
    ("oracle in is null", "in_position", P + "WHERE (p.person_id IN (SELECT m.person_id FROM measurement m)) IS NULL"),
    (
        "oracle in a cte",
        "not_tied",
        "WITH n AS (SELECT year_of_birth AS y FROM person) SELECT p.person_id FROM person p JOIN n ON n.y = 1931",
    ),
    (
        "oracle in a vocabulary",
        "not_tied",
        "SELECT p.person_id FROM person p JOIN concept c ON c.concept_id IN (SELECT gender_concept_id FROM person)",
    ),
    (
        "aggregate over people",
        "aggregate",
        "WITH n AS (SELECT count(*) AS k FROM person) SELECT p.person_id FROM person p CROSS JOIN n WHERE n.k > 1000",
    ),
    ("group by year", "aggregate", "SELECT year_of_birth, count(*) AS n FROM person GROUP BY year_of_birth"),
    (
        "two rows as a value",
        "scalar_subquery",
        "SELECT p.person_id, (SELECT m.value_as_number FROM measurement m "
        "WHERE m.person_id = p.person_id) AS v FROM person p",
    ),
    ("right join", "join", "SELECT p.person_id FROM person p RIGHT JOIN measurement m ON m.person_id = p.person_id"),
    ("full join", "join", "SELECT p.person_id FROM person p FULL JOIN measurement m ON m.person_id = p.person_id"),
    ("natural join", "natural_join", "SELECT person_id FROM person NATURAL JOIN measurement"),
    ("rollup", "grouping_sets", "SELECT person_id FROM person GROUP BY ROLLUP (person_id, year_of_birth)"),
    # ---- the counted subject
    ("two columns", ALLOWED, "SELECT person_id, year_of_birth AS y FROM person"),
    ("only accession", ALLOWED, IO),
    ("no subject", "no_subject", "SELECT year_of_birth FROM person"),
    ("rows dressed as people", "subject_not_plain", "SELECT measurement_id AS person_id FROM measurement"),
    ("numbers dressed as people", "subject_not_plain", "SELECT year_of_birth AS person_id FROM person"),
    ("uid dressed as accession", "subject_not_plain", "SELECT image_study_uid AS accession_id FROM image_occurrence"),
    ("subject twice", "column_name", "SELECT person_id, person_id FROM person"),
    ("odd column name", "column_name", 'SELECT person_id, year_of_birth AS "a""; DROP" FROM person'),
)


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES])
async def test_verdict(verdict: Any, reason: str, sql: str) -> None:
    await verdict(reason, sql)

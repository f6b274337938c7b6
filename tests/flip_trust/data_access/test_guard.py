"""SQL attacks and honest queries side by side. Each line: id, reason code (or ALLOWED), query."""

import asyncpg
import pytest

from flip_trust.data_access.guard import Guard
from flip_trust.data_access.refusal import QueryRefused

ALLOWED = "allowed"
P = "SELECT p.person_id FROM omop.person p "
IO = "SELECT io.accession_id FROM omop.image_occurrence io "

QUERIES: tuple[tuple[str, str, str], ...] = (
    # ---- what is one SELECT over OMOP, and what is not
    (
        "usual",
        ALLOWED,
        "SELECT p.person_id, io.accession_id, p.year_of_birth, p.gender_concept_id FROM omop.person p "
        "JOIN omop.image_occurrence io ON io.person_id = p.person_id WHERE p.year_of_birth >= 1950",
    ),
    ("unqualified table", ALLOWED, "SELECT person_id FROM person WHERE year_of_birth < 1980"),
    ("trailing semicolon", ALLOWED, P + ";"),
    ("comment", ALLOWED, P + "/* a remark */ -- another"),
    ("union", ALLOWED, "SELECT person_id FROM person UNION SELECT person_id FROM condition_occurrence"),
    ("except", ALLOWED, "SELECT person_id FROM person EXCEPT SELECT person_id FROM image_occurrence"),
    ("brackets around", ALLOWED, "(SELECT person_id FROM person)"),
    ("two statements", "one_statement", P + "; DROP TABLE omop.person"),
    ("nothing", "one_statement", " ; "),
    ("not sql", "syntax", "SELECT FROM WHERE ((("),
    ("insert", "not_select", "INSERT INTO omop.person (person_id) VALUES (1)"),
    ("update", "not_select", "UPDATE omop.person SET year_of_birth = 1"),
    ("delete", "not_select", "DELETE FROM omop.person"),
    ("truncate", "not_select", "TRUNCATE omop.person"),
    ("drop", "not_select", "DROP TABLE omop.person"),
    ("create table as", "not_select", "CREATE TABLE t AS SELECT person_id FROM omop.person"),
    ("copy program", "not_select", "COPY omop.person TO PROGRAM 'cat'"),
    ("do block", "not_select", "DO $$ BEGIN PERFORM 1; END $$"),
    ("set", "not_select", "SET statement_timeout = 0"),
    ("explain analyze", "not_select", "EXPLAIN ANALYZE SELECT person_id FROM omop.person"),
    ("listen", "not_select", "LISTEN x"),
    ("values statement", "not_select", "VALUES (1)"),
    (
        "data-modifying cte",
        "construct",
        "WITH d AS (DELETE FROM omop.person RETURNING person_id) SELECT person_id FROM d",
    ),
    ("select into", "side_effect", "SELECT person_id INTO t FROM omop.person"),
    ("for update", "lock", P + "FOR UPDATE"),
    ("for share", "lock", P + "FOR SHARE"),
    (
        "recursive",
        "recursive",
        "WITH RECURSIVE r AS (SELECT person_id FROM omop.person UNION ALL SELECT person_id FROM r) "
        "SELECT person_id FROM r",
    ),
    ("lateral", "lateral", "SELECT p.person_id FROM omop.person p, LATERAL (SELECT 1 FROM omop.concept) x"),
    ("tablesample", "table_sample", "SELECT person_id FROM omop.person TABLESAMPLE SYSTEM (10)"),
    ("parameter", "parameter", P + "WHERE p.year_of_birth = $1"),
    ("named parameter", "parameter", P + "WHERE p.year_of_birth = :year"),
    ("nul character", "control_character", P + "WHERE 'a\x00' = 'a'"),
    ("too long", "too_long", P + "WHERE " + " OR ".join(["p.year_of_birth = 1950"] * 500)),
    ("too big", "too_big", P + "WHERE " + "+".join(["1"] * 1500) + " > 0"),
    ("too deep", "too_deep", P + "WHERE " + "(" * 3000 + "true" + ")" * 3000),
    # ---- tables and columns
    (
        "vocabulary join",
        ALLOWED,
        "SELECT c.person_id, k.concept_name FROM condition_occurrence c "
        "JOIN concept k ON k.concept_id = c.condition_concept_id",
    ),
    (
        "descendants",
        ALLOWED,
        "SELECT person_id FROM condition_occurrence WHERE condition_concept_id IN "
        "(SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id = 316866)",
    ),
    ("catalogue", "schema", "SELECT relname FROM pg_catalog.pg_class"),
    ("catalogue without schema", "table", "SELECT oid AS person_id FROM pg_class"),
    ("activity", "table", "SELECT query FROM pg_stat_activity"),
    ("information schema", "schema", "SELECT table_name FROM information_schema.tables"),
    ("frozen cohorts", "schema", "SELECT person_id FROM flip.frozen_subject"),
    ("other database", "schema", "SELECT person_id FROM other.omop.person"),
    ("note", "table", "SELECT person_id FROM omop.note"),
    ("location", "table", "SELECT location_id FROM omop.location"),
    ("cost without person", "table", "SELECT cost_id FROM omop.cost"),
    ("quoted upper case", "table", 'SELECT person_id FROM omop."PERSON"'),
    (
        "cte shadows a table",
        "cte_name",
        "WITH person AS (SELECT person_id FROM omop.measurement) SELECT person_id FROM person",
    ),
    ("table function", "table_function", "SELECT g AS person_id FROM generate_series(1, 9) g"),
    ("xml function in from", "table_function", "SELECT x AS person_id FROM query_to_xml('select 1', true, true, '') x"),
    ("unnest", "function", "SELECT u AS person_id FROM unnest(ARRAY[1,2]) u"),
    ("only", "construct", "SELECT person_id FROM ONLY omop.person"),
    ("column aliases", "column_alias_list", "SELECT x.person_id FROM omop.person AS x (person_id)"),
    ("star", "star", "SELECT * FROM omop.person"),
    ("table star", "star", "SELECT p.* FROM omop.person p"),
    ("whole row", "whole_row", "SELECT p FROM omop.person p"),
    ("whole row compared", "whole_row", P + "WHERE p IS NOT NULL"),
    ("field of a row", "whole_row", "SELECT (p).person_id FROM omop.person p"),
    ("ctid", "unknown_name", P + "WHERE p.ctid = '(0,1)'"),
    ("xmin", "unknown_name", "SELECT p.person_id, p.xmin FROM omop.person p"),
    ("tableoid", "unknown_name", "SELECT p.person_id, p.tableoid FROM omop.person p"),
    ("unknown column", "unknown_name", "SELECT p.person_id, p.salary FROM omop.person p"),
    ("system function as column", "unknown_name", "SELECT p.person_id, p.pg_sleep FROM omop.person p"),
    # ---- functions and types
    (
        "harmless functions",
        ALLOWED,
        "SELECT m.person_id, round(m.value_as_number) AS v, abs(m.value_as_number - 5) AS d "
        "FROM measurement m WHERE coalesce(m.value_as_number, 0) > 1",
    ),
    ("literal cast", ALLOWED, "SELECT person_id FROM measurement WHERE measurement_date >= '2016-01-01'::date"),
    (
        "interval",
        ALLOWED,
        "SELECT person_id FROM measurement WHERE measurement_date > current_date - interval '20 years'",
    ),
    ("pg_sleep", "function", P + "WHERE pg_sleep(1) IS NULL"),
    ("pg_sleep quoted", "function", P + 'WHERE "pg_sleep"(1) IS NULL'),
    ("qualified function", "whole_row", P + "WHERE pg_catalog.pg_sleep(1) IS NULL"),
    ("set_config", "function", P + "WHERE set_config('statement_timeout', '0', false) = '0'"),
    ("query_to_xml", "function", P + "WHERE query_to_xml('select * from omop.person', true, true, '') IS NOT NULL"),
    ("lo_create", "function", P + "WHERE lo_create(0) > 0"),
    ("pg_read_file", "function", P + "WHERE pg_read_file('/etc/passwd') <> ''"),
    ("dblink", "function", P + "WHERE dblink('host=evil', 'select 1') IS NOT NULL"),
    ("version", "function", P + "WHERE version() LIKE '%18%'"),
    ("current_user", "function", P + "WHERE current_user = 'flip_reader'"),
    ("current_setting", "function", P + "WHERE current_setting('server_version') > ''"),
    ("advisory lock", "function", P + "WHERE pg_advisory_lock(1) IS NULL"),
    ("nextval", "function", P + "WHERE nextval('s') > 0"),
    ("random", "function", P + "WHERE random() < 0.5"),
    ("repeat bomb", "function", P + "WHERE repeat('x', 1000000000) = ''"),
    ("array_agg", "function", "SELECT person_id, array_agg(value_as_number) AS a FROM measurement GROUP BY person_id"),
    (
        "string_agg",
        "function",
        "SELECT person_id, string_agg(observation_source_value, ',') AS a FROM observation GROUP BY person_id",
    ),
    ("row_to_json", "function", "SELECT p.person_id, row_to_json(p) AS j FROM person p"),
    ("regex", "function", "SELECT p.person_id FROM person p WHERE p.gender_source_value ~ 'M'"),
    ("regclass", "cast", P + "WHERE 'pg_class'::regclass IS NOT NULL"),
    ("oid cast", "cast", P + "WHERE 1::oid = 1"),
    ("xml cast", "cast", P + "WHERE '<a/>'::xml IS NOT NULL"),
    (
        "cast that fails on data",
        "cast",
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON "
        "k.concept_id = c.condition_concept_id WHERE k.concept_name::int > 0",
    ),
    ("error on purpose", "cast", P + "WHERE (CASE WHEN p.year_of_birth = 1931 THEN 'x' ELSE '1' END)::int = 1"),
    (
        "dollar quotes",
        "string",
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON "
        "k.concept_id = c.condition_concept_id WHERE k.concept_name <> $$it's; DROP TABLE omop.person$$",
    ),
    (
        "text that looks like sql",
        ALLOWED,
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON "
        "k.concept_id = c.condition_concept_id WHERE k.concept_name <> 'it''s; DROP TABLE omop.person --'",
    ),
    ("escape string", "string", P + r"WHERE E'\'' = ' OR true --'"),
    # ---- literals on people, disguised
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


def test_the_table_is_as_large_as_promised() -> None:
    assert sum(reason != ALLOWED for _, reason, _ in QUERIES) >= 80
    assert len({name for name, _, _ in QUERIES}) == len(QUERIES)


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES if r != ALLOWED])
def test_refused(guard: Guard, reason: str, sql: str) -> None:
    with pytest.raises(QueryRefused) as refused:
        guard(sql)
    assert refused.value.reason == reason, str(refused.value)
    assert refused.value.what
    assert refused.value.remedy


@pytest.mark.parametrize("sql", [pytest.param(s, id=n) for n, r, s in QUERIES if r == ALLOWED])
async def test_allowed_and_runs(guard: Guard, reader_url: str, sql: str) -> None:
    query = guard(sql)
    connection = await asyncpg.connect(reader_url)
    try:
        statement = await connection.prepare(query.sql)
        assert tuple(attribute.name for attribute in statement.get_attributes()) == query.columns
        await statement.fetch()
    finally:
        await connection.close()
    assert guard(query.sql).sql == query.sql, "what the guard writes passes the guard again, unchanged"


def test_what_is_described(guard: Guard) -> None:
    query = guard(
        "SELECT o.person_id, o.observation_id, o.value_as_string, o.observation_source_value, o.value_as_number, "
        "o.observation_date FROM observation o"
    )
    assert query.described == ("value_as_number", "observation_date")
    assert query.has_person
    assert not query.has_accession


def test_only_the_tree_is_emitted(guard: Guard) -> None:
    query = guard(P + "/* person_id = 42 */ WHERE p.year_of_birth > 1950 -- secret")
    assert "42" not in query.sql
    assert "secret" not in query.sql
    assert '"omop"."person"' in query.sql


def test_a_refusal_says_what_where_and_what_to_do(guard: Guard) -> None:
    with pytest.raises(QueryRefused) as refused:
        guard("SELECT p.person_id\nFROM omop.person p\nWHERE p.person_id = 42")
    text = str(refused.value)
    assert "person_id identifies single people" in text
    assert '"p"."person_id" = 42' in text
    assert "line 3" in text
    assert "compare it with person_id of another table" in text


def test_division_by_zero_is_null_not_an_error(guard: Guard) -> None:
    assert "NULLIF" in guard("SELECT person_id, 1 / year_of_birth AS r FROM person").sql
    assert "NULLIF" in guard("SELECT person_id, 7 % year_of_birth AS r FROM person").sql
    assert "NULLIF" not in guard("SELECT person_id, year_of_birth / 10 AS r FROM person").sql

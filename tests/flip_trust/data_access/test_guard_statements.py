"""One SELECT over allowed tables and columns, and what is not. Each line: id, reason code (or ALLOWED), query."""

from typing import Any

import pytest

ALLOWED = "allowed"
P = "SELECT p.person_id FROM omop.person p "

QUERIES = (
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
)


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES])
async def test_verdict(verdict: Any, reason: str, sql: str) -> None:
    await verdict(reason, sql)

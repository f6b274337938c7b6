"""Functions and types that a query may use. Each line: id, reason code (or ALLOWED), query."""

from typing import Any

import pytest

ALLOWED = "allowed"
P = "SELECT p.person_id FROM omop.person p "

QUERIES = (
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
    (
        "interval in months",
        ALLOWED,
        "SELECT person_id FROM measurement WHERE measurement_date + interval '3 months' > '2016-01-01'",
    ),
    ("decade of birth", ALLOWED, "SELECT person_id, year_of_birth / 10 * 10 AS decade FROM person"),
    (
        "age at a measurement",
        ALLOWED,
        "SELECT p.person_id, extract(year FROM m.measurement_date) - p.year_of_birth AS age FROM person "
        "p JOIN measurement m ON m.person_id = p.person_id",
    ),
    (
        "days between",
        ALLOWED,
        "SELECT person_id, observation_period_end_date - observation_period_start_date AS days FROM observation_period",
    ),
    (
        "casts of numbers",
        ALLOWED,
        "SELECT person_id, value_as_number::int AS i, value_as_number::double precision AS d, "
        "(value_as_number > 120)::int AS high FROM measurement",
    ),
    (
        "mean and sum",
        ALLOWED,
        "SELECT person_id, avg(value_as_number) AS m, sum(value_as_number) AS s, count(*) % 2 AS odd "
        "FROM measurement GROUP BY person_id",
    ),
    (
        "median",
        ALLOWED,
        "SELECT person_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY value_as_number) AS m FROM "
        "measurement GROUP BY person_id",
    ),
    ("years of a date", ALLOWED, "SELECT person_id, date_trunc('month', measurement_date) AS m FROM measurement"),
    ("huge number", "number", P + "WHERE p.year_of_birth * 1e200 > 0"),
    ("tiny number", "number", P + "WHERE p.year_of_birth * 1e-200 > 0"),
    ("long number", "number", P + "WHERE p.year_of_birth > 1" + "0" * 41),
    ("interval of centuries", "interval", P + "WHERE current_date + interval '290000 years' > current_date"),
    ("interval shown", "interval", "SELECT person_id, interval '1 day' AS x FROM person"),
    (
        "interval in a case",
        "interval",
        "SELECT person_id FROM measurement WHERE extract(dow FROM CASE WHEN value_as_number > 150 THEN "
        "interval '1 day' END) = 1",
    ),
    ("interval by a cast", "cast", P + "WHERE current_date + '1 day'::interval > current_date"),
    ("hour of a date", "date_part", "SELECT person_id FROM measurement WHERE extract(hour FROM measurement_date) = 1"),
    (
        "no part of a date",
        "date_part",
        "SELECT person_id FROM measurement WHERE extract(nothing FROM measurement_date) = 1",
    ),
    (
        "truncated to nothing",
        "date_part",
        "SELECT person_id FROM measurement WHERE date_trunc('nothing', measurement_date) > '2016-01-01'",
    ),
    (
        "pattern from data",
        "pattern",
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON k.concept_id = "
        "c.condition_concept_id WHERE k.concept_name LIKE k.concept_code",
    ),
    (
        "pattern with an open escape",
        "pattern",
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON k.concept_id = "
        "c.condition_concept_id WHERE k.concept_name LIKE 'a\\'",
    ),
    (
        "percentile beyond one",
        "percentile",
        "SELECT person_id, percentile_disc(2) WITHIN GROUP (ORDER BY value_as_number) AS m FROM "
        "measurement GROUP BY person_id",
    ),
    ("cast to few digits", "cast", "SELECT person_id FROM measurement WHERE value_as_number::numeric(3, 1) > 1"),
    ("text cast to an integer", "cast", P + "WHERE '-2147483648'::int < p.year_of_birth"),
    ("far date", "cast", "SELECT person_id FROM measurement WHERE measurement_date < '5874897-01-01'::date"),
    ("far day number", "cast", "SELECT person_id FROM measurement WHERE measurement_date < 'J99999999'::date"),
    (
        "dates as text",
        ALLOWED,
        "SELECT person_id FROM measurement WHERE measurement_date > '20160101'::date OR "
        "measurement_datetime > '2016-01-01 10:00:00.123456'::timestamp",
    ),
    (
        "text that doubles",
        "too_big",
        "SELECT c.person_id FROM condition_occurrence c JOIN concept k ON k.concept_id = c.condition_concept_id WHERE "
        + " || ".join(["k.concept_name"] * 12)
        + " = ''",
    ),
)


@pytest.mark.parametrize(("reason", "sql"), [pytest.param(r, s, id=n) for n, r, s in QUERIES])
async def test_verdict(verdict: Any, reason: str, sql: str) -> None:
    await verdict(reason, sql)

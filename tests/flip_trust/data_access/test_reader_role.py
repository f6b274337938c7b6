"""The second line of defence: what the role refuses when the guard is not there."""

from typing import Any

import asyncpg
import pytest

from flip_trust.data_access.prepare import PrepareError, prepare_database

REFUSED = {
    "read free text": "SELECT * FROM omop.note",
    "read addresses": "SELECT * FROM omop.location",
    "read frozen cohorts": "SELECT * FROM flip.frozen_subject",
    "read the site's secret": "SELECT secret FROM flip.site_secret",
    "read password hashes": "SELECT rolpassword FROM pg_authid",
    "see what others run": "SELECT query FROM pg_stat_activity",
    "see column statistics": "SELECT most_common_vals FROM pg_stats",
    "list roles": "SELECT rolname FROM pg_roles",
    "insert": "INSERT INTO omop.person (person_id) VALUES (1)",
    "update": "UPDATE omop.person SET year_of_birth = 1",
    "delete": "DELETE FROM omop.person",
    "truncate": "TRUNCATE omop.person",
    "create table": "CREATE TABLE omop.t (a int)",
    "create in public": "CREATE TABLE public.t (a int)",
    "temporary table": "CREATE TEMPORARY TABLE t (a int)",
    "select into": "SELECT 1 AS a INTO public.t",
    "lock rows": "SELECT 1 FROM omop.person FOR UPDATE",
    "read a file": "SELECT pg_read_file('/etc/passwd')",
    "list a folder": "SELECT pg_ls_dir('/')",
    "copy to a program": "COPY (SELECT 1) TO PROGRAM 'cat'",
    "copy to a file": "COPY (SELECT 1) TO '/tmp/x'",
    "write a large object": "SELECT lo_create(0)",
    "write a large object from bytes": "SELECT lo_from_bytea(0, 'x')",
    "import a large object": "SELECT lo_import('/etc/passwd')",
    "sql in a string": "SELECT query_to_xml('select 1', true, true, '')",
    "a table as xml": "SELECT table_to_xml('omop.person', true, true, '')",
    "a schema as xml": "SELECT schema_to_xml('omop', true, true, '')",
    "lift the timeout": "SELECT set_config('statement_timeout', '0', false)",
    "sleep": "SELECT pg_sleep(0.01)",
    "sleep for": "SELECT pg_sleep_for('1 ms')",
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "advisory lock, two keys": "SELECT pg_advisory_lock(1, 2)",
    "try advisory lock": "SELECT pg_try_advisory_xact_lock(1)",
    "notify": "SELECT pg_notify('a', 'b')",
    "cancel others": "SELECT pg_cancel_backend(1)",
    "end others": "SELECT pg_terminate_backend(1)",
    "export a snapshot": "SELECT pg_export_snapshot()",
    "become the owner": "SET ROLE postgres",
    "raise itself": "ALTER ROLE flip_reader SUPERUSER",
    "an untrusted function": "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'select 1'",
}


@pytest.mark.parametrize("sql", [pytest.param(sql, id=name) for name, sql in REFUSED.items()])
async def test_the_role_refuses(reader_url: str, sql: str) -> None:
    connection = await asyncpg.connect(reader_url)
    try:
        # Were it only the read-only default, a query could switch it off.
        await connection.execute("SET default_transaction_read_only = off")
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)):
            await connection.fetch(sql)
    finally:
        await connection.close()


async def test_the_role_has_its_limits(reader_url: str) -> None:
    connection = await asyncpg.connect(reader_url)
    try:
        assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
        assert await connection.fetchval("SHOW statement_timeout") == "1min"
        assert await connection.fetchval("SHOW search_path") == "pg_catalog"
        assert await connection.fetchval("SELECT count(*) FROM omop.person") > 1000
    finally:
        await connection.close()


async def test_preparing_again_changes_nothing_and_keeps_the_secret(owner_url: str, reader_url: str) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        before = await owner.fetchval("SELECT secret FROM flip.site_secret")
        await prepare_database(owner_url, reader_url)
        assert not await prepare_database(owner_url, reader_url)
        assert await owner.fetchval("SELECT secret FROM flip.site_secret") == before
        stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'flip_reader'")
        assert stored.startswith("SCRAM-SHA-256$4096:")
        assert "pass-word" not in stored
    finally:
        await owner.close()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE flip_reader PASSWORD 'another'",
        "ALTER ROLE flip_reader SET statement_timeout = '7s'",
        "ALTER ROLE flip_reader CREATEDB",
        "GRANT SELECT ON omop.person TO PUBLIC",
        "GRANT SELECT ON pg_catalog.pg_stats TO PUBLIC",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_sleep(double precision) TO PUBLIC",
        "GRANT ALL ON SCHEMA public TO PUBLIC",
        "REVOKE SELECT (person_id) ON omop.person FROM flip_reader",
        "GRANT SELECT (person_id) ON omop.person TO pg_monitor;"
        "REVOKE SELECT (person_id) ON omop.person FROM flip_reader",
        "DROP TABLE flip.query_failure",
        "DELETE FROM flip.site_secret",
        "DROP FUNCTION flip_math.plus(int8, int8)",
    ],
)
async def test_what_is_put_right_is_told(own_site: Any, change: str) -> None:
    urls = own_site.owner_url, own_site.reader_url
    owner = await asyncpg.connect(own_site.owner_url)
    try:
        await prepare_database(*urls)
        await owner.execute(change)
        assert await prepare_database(*urls, dry_run=True)
        assert await prepare_database(*urls, dry_run=True), "a dry run leaves it as it is"
        assert await prepare_database(*urls)
        assert not await prepare_database(*urls)
        assert not await prepare_database(*urls, dry_run=True)
    finally:
        await prepare_database(*urls)
        await owner.close()


async def test_rights_of_others_are_no_change(own_site: Any) -> None:
    owner = await asyncpg.connect(own_site.owner_url)
    try:
        await prepare_database(own_site.owner_url, own_site.reader_url)
        await owner.execute("GRANT SELECT (person_id) ON omop.person TO pg_monitor")
        assert not await prepare_database(own_site.owner_url, own_site.reader_url)
    finally:
        await owner.close()


async def test_the_password_is_the_right_one(owner_url: str, reader_url: str) -> None:
    """The server checks passwords over TCP only here, so the stored verifier is checked as the server would."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("SET password_encryption = 'scram-sha-256'")
        stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'flip_reader'")
    finally:
        await owner.close()
    import base64
    import hashlib
    import hmac

    head, keys = stored.rsplit("$", 1)
    iterations, salt = head.removeprefix("SCRAM-SHA-256$").split(":")
    salted = hashlib.pbkdf2_hmac("sha256", b"pass-word", base64.b64decode(salt), int(iterations))
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    server_key = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    stored_key, stored_server = (base64.b64decode(part) for part in keys.split(":"))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert server_key == stored_server


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("flip_reader:pass-word@", "Bad-Name:x@"), "lower-case"),
        (("flip_reader:pass-word@", "flip_reader@"), "no password"),
        (("flip_reader:pass-word@", "postgres:x@"), "must differ"),
    ],
)
async def test_unusable_readers_are_refused(
    owner_url: str, reader_url: str, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(PrepareError, match=message):
        await prepare_database(owner_url, reader_url.replace(*change))


async def test_an_owner_without_rights_is_refused(reader_url: str) -> None:
    connection = await asyncpg.connect(reader_url)
    await connection.close()
    with pytest.raises((PrepareError, asyncpg.InsufficientPrivilegeError)):
        await prepare_database(reader_url, reader_url)


async def test_a_database_without_omop_is_refused(owner_url: str, reader_url: str) -> None:
    with pytest.raises(PrepareError, match=r"no table omop\.person"):
        await prepare_database(owner_url.replace("omop_site", "postgres"), reader_url)

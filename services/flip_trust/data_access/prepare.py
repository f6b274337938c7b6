"""Prepares a site's database: the read-only role, what it may do, and the place of frozen cohorts. Idempotent."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import asyncpg

from flip_trust.data_access import totals
from flip_trust.data_access.catalogue import SCHEMA, allowed_columns
from flip_trust.data_access.prepared import state

SCRAM_ITERATIONS = 4096
READER_CONNECTIONS = 32

_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_VERIFIER = re.compile(rf"SCRAM-SHA-256\${SCRAM_ITERATIONS}:([A-Za-z0-9+/=]+)\$\S+")

# A read-only role can call these unless they are taken away: they write, wait, signal, change settings, or run SQL
# from a string, which walks past the guard's table check.
_DANGEROUS = r"""
    ^(set_config|pg_sleep.*|.*_to_xml(schema|_and_xmlschema)?|lo_.*|loread|lowrite|pg_notify|pg_listening_channels
    |pg_(try_)?advisory_(xact_)?lock.*|pg_cancel_backend|pg_terminate_backend|pg_logical_.*|pg_export_snapshot
    |pg_current_xact_id|txid_current|setval|nextval|currval|lastval|pg_stat_get_activity|pg_stat_get_backend.*
    |pg_read_.*|pg_ls_.*|pg_stat_file|pg_reload_conf|pg_rotate_logfile|pg_get_viewdef|pg_get_functiondef
    |inet_(client|server)_(addr|port)|ts_stat|ts_rewrite|pg_show_all_settings|pg_hba_file_rules|pg_show_all_file_settings
    |pg_prepared_statement|pg_cursor|pg_log_backend_memory_contexts|pg_partition_.*|binary_upgrade_.*)$
"""
_DANGEROUS_PATTERN = re.sub(r"\s+", "", _DANGEROUS)
_VIEWS = (
    "pg_stat_activity",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_roles",
    "pg_user",
    "pg_group",
    "pg_settings",
    "pg_tables",
    "pg_views",
    "pg_matviews",
    "pg_indexes",
    "pg_policies",
    "pg_locks",
    "pg_stat_all_tables",
    "pg_stat_user_tables",
    "pg_stat_database",
)

_FROZEN = """
CREATE SCHEMA IF NOT EXISTS flip;
REVOKE ALL ON SCHEMA flip FROM PUBLIC;
CREATE TABLE IF NOT EXISTS flip.site_secret (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea NOT NULL CHECK (length(secret) = 32)
);
CREATE TABLE IF NOT EXISTS flip.frozen_cohort (
    project_id uuid PRIMARY KEY,
    first_frozen_at timestamptz NOT NULL DEFAULT now(),
    last_frozen_at timestamptz NOT NULL DEFAULT now(),
    query text NOT NULL
);
CREATE TABLE IF NOT EXISTS flip.frozen_subject (
    project_id uuid NOT NULL REFERENCES flip.frozen_cohort ON DELETE CASCADE,
    person_id bigint NOT NULL,
    PRIMARY KEY (project_id, person_id)
);
CREATE TABLE IF NOT EXISTS flip.frozen_accession (
    project_id uuid NOT NULL REFERENCES flip.frozen_cohort ON DELETE CASCADE,
    accession_id text NOT NULL,
    person_id bigint NOT NULL,
    PRIMARY KEY (project_id, accession_id)
);
CREATE TABLE IF NOT EXISTS flip.query_failure (
    project_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS query_failure_project ON flip.query_failure (project_id, at);
REVOKE ALL ON ALL TABLES IN SCHEMA flip FROM PUBLIC;
"""


class PrepareError(ValueError):
    """The database cannot be prepared; the text says why and what to do."""


async def prepare_database(
    owner_url: str,
    reader_url: str,
    statement_timeout: float = 60,
    columns: Mapping[str, frozenset[str]] | None = None,
    *,
    dry_run: bool = False,
) -> bool:
    """Creates the reading role named in `reader_url` with its password, and all that data-access-api needs.

    Run it again after an upgrade or when OMOP tables were added; what is right already stays as it is. Returns
    whether anything was changed.

    Args:
        owner_url: URL of a superuser; needed because functions of `pg_catalog` are revoked.
        reader_url: URL that data-access-api will read with.
        statement_timeout: seconds, the role's own limit, should the service ever forget to set one.
        columns: what the role may read, by table; the columns of the CDM when left out.
        dry_run: find out whether anything would be changed, and leave it as it is.

    Raises:
        PrepareError: no superuser, an unusable role name or password, or no OMOP tables.
        OSError, asyncpg.PostgresError: the database does not answer, or refuses.
    """
    parts = urlsplit(reader_url)
    role, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not _ROLE.fullmatch(role):
        raise PrepareError(f"role {role!r} of the reader URL: use lower-case letters, digits and _")
    if not password:
        raise PrepareError("the reader URL has no password: write postgresql://role:password@host/database")
    owner = await asyncpg.connect(owner_url)
    try:
        if not await owner.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            raise PrepareError("prepare-database revokes functions of pg_catalog: give it the URL of a superuser")
        if role == await owner.fetchval("SELECT current_user"):
            raise PrepareError(f"reader and owner are the same role {role!r}; they must differ")
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("SELECT pg_advisory_xact_lock(hashtext('flip prepare-database'))")
        before = await state(owner, role)
        await _role(owner, role, password, statement_timeout)
        await _grants(owner, role, allowed_columns() if columns is None else columns)
        await owner.execute(_FROZEN)
        for statement in totals.functions():
            await owner.execute(statement)
        await owner.execute(f'GRANT USAGE ON SCHEMA {totals.SCHEMA} TO "{role}"')
        made = await owner.execute(
            "INSERT INTO flip.site_secret (secret) VALUES ($1) ON CONFLICT DO NOTHING", secrets.token_bytes(32)
        )
        changed = before != await state(owner, role) or made != "INSERT 0 0"
        if changed and not dry_run:
            await transaction.commit()
        return changed
    finally:
        await owner.close()  # what was not committed is undone


async def _role(owner: asyncpg.Connection, role: str, password: str, statement_timeout: float) -> None:
    if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await owner.execute(f'CREATE ROLE "{role}"')
    present = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    verifier = (
        present if present and _verifies(present, password) else _scram_verifier(password, secrets.token_bytes(16))
    )
    await owner.execute(
        f'ALTER ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS '
        f"CONNECTION LIMIT {READER_CONNECTIONS} PASSWORD '{verifier}'"
    )
    for setting, value in (
        ("default_transaction_read_only", "on"),
        ("statement_timeout", f"{int(statement_timeout * 1000)}"),
        ("lock_timeout", "1000"),
        ("idle_in_transaction_session_timeout", "30000"),
        ("search_path", "pg_catalog"),
        ("work_mem", "64MB"),
        ("jit", "off"),
        ("temp_file_limit", "4GB"),
    ):
        await owner.execute(f"ALTER ROLE \"{role}\" SET {setting} = '{value}'")


async def _grants(owner: asyncpg.Connection, role: str, columns: Mapping[str, frozenset[str]]) -> None:
    database = await owner.fetchval("SELECT quote_ident(current_database())")
    await owner.execute(
        f"""REVOKE ALL ON SCHEMA public FROM PUBLIC;
            REVOKE TEMPORARY, CREATE ON DATABASE {database} FROM PUBLIC;
            GRANT CONNECT ON DATABASE {database} TO "{role}";"""
    )
    found = await owner.fetch(
        "SELECT c.relname AS name, array_agg(a.attname::text) AS columns FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'm') GROUP BY 1 ORDER BY 1",
        SCHEMA,
    )
    tables = {
        row["name"]: sorted(columns[row["name"]] & set(row["columns"])) for row in found if row["name"] in columns
    }
    if "person" not in tables:
        raise PrepareError(f"there is no table {SCHEMA}.person: load the OMOP CDM 5.4 tables first")
    await owner.execute(f'REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM PUBLIC, "{role}"')
    await owner.execute(f'GRANT USAGE ON SCHEMA {SCHEMA} TO "{role}"')
    for table, readable in tables.items():
        names = ", ".join(f'"{name}"' for name in readable)
        await owner.execute(f'GRANT SELECT ({names}) ON {SCHEMA}."{table}" TO "{role}"')
    functions = await owner.fetch(
        """SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
           WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname ~ $1
             AND has_function_privilege('public', p.oid, 'EXECUTE')""",
        _DANGEROUS_PATTERN,
    )
    for row in functions:
        await owner.execute(f"REVOKE EXECUTE ON FUNCTION pg_catalog.{row['signature']} FROM PUBLIC")
    for view in _VIEWS:
        await owner.execute(f'REVOKE ALL ON pg_catalog.{view} FROM PUBLIC, "{role}"')


def _verifies(verifier: str, password: str) -> bool:
    match = _VERIFIER.fullmatch(verifier)
    return match is not None and _scram_verifier(password, base64.b64decode(match[1])) == verifier


def _scram_verifier(password: str, salt: bytes) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that the password itself is never in a statement."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, client, server)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"

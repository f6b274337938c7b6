"""What a database says of itself before and after it is prepared, so that it is known whether anything changed."""

import asyncpg

from flip_trust.data_access import totals
from flip_trust.data_access.catalogue import SCHEMA

# Rights are compared as sets: to take one away and give it back moves it to the end of its list.
_STATE = """
SELECT kind, name, says FROM (
    SELECT 'role' AS kind, r.rolname::text AS name, to_jsonb(r)::text AS says
        FROM pg_authid r WHERE r.rolname = $1
    UNION ALL SELECT 'setting', s.setdatabase::text, array(SELECT unnest(s.setconfig) ORDER BY 1)::text
        FROM pg_db_role_setting s JOIN pg_authid r ON r.oid = s.setrole WHERE r.rolname = $1
    UNION ALL SELECT 'database', d.datname::text, array(SELECT unnest(d.datacl)::text ORDER BY 1)::text
        FROM pg_database d WHERE d.datname = current_database()
    UNION ALL SELECT 'schema', n.nspname::text, array(SELECT unnest(n.nspacl)::text ORDER BY 1)::text
        FROM pg_namespace n WHERE n.nspname = ANY ($2)
    UNION ALL SELECT 'relation', c.oid::regclass::text, array(SELECT unnest(c.relacl)::text ORDER BY 1)::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY ($2)
    UNION ALL SELECT 'column', a.attrelid::regclass || '.' || a.attname,
            array(SELECT unnest(a.attacl)::text ORDER BY 1)::text
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY ($2) AND a.attacl IS NOT NULL
    UNION ALL SELECT 'function', p.oid::regprocedure::text,
            array(SELECT unnest(p.proacl)::text ORDER BY 1)::text || p.provolatile::text || p.prosrc
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($2)
) AS state ORDER BY kind, name, says
"""


async def state(connection: asyncpg.Connection, role: str) -> list[tuple[str, str, str]]:
    """Role, rights and functions as they are, in the connection's transaction."""
    rows = await connection.fetch(_STATE, role, ["pg_catalog", "public", "flip", SCHEMA, totals.SCHEMA])
    return [tuple(row) for row in rows]

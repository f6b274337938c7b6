"""Says what a restore has to bring back, so that it can be compared. Runs on a host."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

QUESTIONS = """
SELECT count(*), md5(string_agg(p::text, ',' ORDER BY person_id)) FROM omop.person p;
SELECT encode(secret, 'hex') FROM flip.site_secret;
SELECT rolname, rolpassword, rolconnlimit, setconfig FROM pg_authid a LEFT JOIN pg_db_role_setting ON setrole = a.oid
    WHERE rolcanlogin ORDER BY 1;
SELECT datname, array(SELECT unnest(datacl)::text ORDER BY 1) FROM pg_database WHERE NOT datistemplate ORDER BY 1;
SELECT has_function_privilege('omop_reader', 'pg_sleep(float8)', 'EXECUTE'),
    has_table_privilege('omop_reader', 'omop.person', 'SELECT'),
    has_table_privilege('omop_reader', 'flip.site_secret', 'SELECT');
"""
SECRETS = Path("/opt/flip/config/secrets")


def secret(name):
    """A secret of this host."""
    return (SECRETS / name).read_text().strip()


def database():
    """Answers of the OMOP database, signed in to with the host's secret."""
    command = "docker exec -i -e PGPASSWORD flip-omop-db-1 psql -qAt -v ON_ERROR_STOP=1 -h 127.0.0.1 -U flip_owner omop"
    environment = {**os.environ, "PGPASSWORD": secret("omop_owner")}
    return subprocess.run(
        command.split(), input=QUESTIONS, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def files():
    """Owner, mode and digest of all that must be the same."""
    found = []
    for root in ("/opt/flip/config", "/opt/flip/kit", "/opt/flip/fl", "/opt/flip/data/imaging"):
        for path in [Path(root), *sorted(Path(root).rglob("*"))]:
            about = path.stat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found.append(f"{path} {about.st_uid}:{about.st_gid} {about.st_mode:o} {content}")
    return found


print(json.dumps({"database": database(), "files": files()}, indent=1))

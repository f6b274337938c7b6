"""The one PostgreSQL database of a host, dumped and restored by the programs in its own container."""

import os
import re
import subprocess
import time
from pathlib import Path

from backup_files import beside
from backup_pipes import BackupError, packing, pipe, run, unpacking

START_SECONDS = 60
RESTORING, REPLACED = "restoring", "replaced"
STRICT = ("--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse")  # an error does not repeat the statement
ROLE = re.compile(r"^CREATE ROLE (\S+);$")


class Database:
    """What `settings["database"]` names. Statements are its superuser's; the password is in no command line."""

    def __init__(self, settings):
        self._settings = settings
        about = settings["database"]
        self.name, self._container, self._superuser = about["name"], about["container"], about["superuser"]
        self.folder = Path(about["folder"])
        self._password_file = Path(about["password_file"])
        self._environment = None

    def _command(self, program, *arguments):
        fixed = ("docker", "exec", "--interactive", "--env=PGPASSWORD", self._container, program, "--host=/tmp")
        return (*fixed, f"--username={self._superuser}", *arguments)

    def _wait(self):
        """It may just be starting. Raises BackupError where it does not answer in time."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                run("docker", "exec", self._container, "pg_isready", "--quiet", "--host=/tmp")
            except BackupError as error:
                if time.monotonic() > deadline:
                    raise BackupError(f"the database in {self._container} does not answer: {error}") from None
                time.sleep(0.5)
            else:
                return

    def sign_in(self):
        """Finds the password that opens it: in the middle of a restore it may be the one that was replaced."""
        self._wait()
        files = [self._password_file]
        files += [
            beside(root, REPLACED) / self._password_file.relative_to(root)
            for root in map(Path, self._settings["paths"])
            if root in self._password_file.parents
        ]
        refused = None
        for file in files:
            if file.exists():
                self._environment = {**os.environ, "PGPASSWORD": file.read_text(encoding="utf-8").splitlines()[0]}
                try:
                    self.ask("SELECT 1")
                except BackupError as error:
                    refused = error
                else:
                    return
        raise BackupError(f"the database in {self._container} does not let us in: {refused or files}")

    def ask(self, statements):
        """What the server answers to statements; the first that fails ends them."""
        psql = self._command("psql", "--dbname=postgres", "--no-psqlrc", "-qAt", *STRICT)
        return run(*psql, feed=statements, env=self._environment).strip()

    def has(self, ending):
        """Whether there is a database beside ours, such as one that was replaced."""
        return f"{self.name}_{ending}" in self.ask("SELECT datname FROM pg_database").splitlines()

    def bytes(self):
        """Its size on disk."""
        return int(self.ask(f"SELECT pg_database_size('{self.name}')"))

    def dump(self, folder):
        """Writes database.dump and roles.sql, packed, into a folder."""
        commands, ending = packing(self._settings)
        dump = self._command("pg_dump", f"--dbname={self.name}", "--format=custom", "--compress=0")
        with (
            (folder / f"database.dump{ending}").open("wb") as file,
            pipe(dump, *commands, source=subprocess.DEVNULL, target=file, env=self._environment),
        ):
            pass
        with (folder / f"roles.sql{ending}").open("wb") as file, pipe(*commands, target=file) as stream:
            stream.write("\n".join(self._roles()).encode())

    def _roles(self):
        """Roles with their passwords, and what holds for the database as a whole; pg_dump gives neither."""
        roles = run(*self._command("pg_dumpall", "--roles-only", "--database=postgres"), env=self._environment)
        schema = self._command("pg_dump", f"--dbname={self.name}", "--create", "--schema-only")
        of_database = re.compile(
            rf"^(GRANT|REVOKE) [A-Z,]+ ON DATABASE {self.name} .*;$|^ALTER DATABASE {self.name} SET .*;$"
            rf"|^ALTER ROLE \S+ IN DATABASE {self.name} SET .*;$"
        )
        yield from (line for line in roles.splitlines() if re.match(r"((CREATE|ALTER) ROLE|GRANT|REVOKE) .*;$", line))
        yield from (line for line in run(*schema, env=self._environment).splitlines() if of_database.match(line))

    def load(self, backup, identity):
        """Restores a dump beside the database, and roles that are missing. Returns what is left for the exchange."""
        self.drop(RESTORING)
        self.ask(f"CREATE DATABASE {self.name}_{RESTORING} TEMPLATE template0")
        lines = self._read(next(backup.glob("roles.sql.*")), identity).decode().splitlines()
        for role in filter(None, map(ROLE.match, lines)):
            name = role[1].replace("'", "''")
            unless = f"WHERE NOT EXISTS (SELECT FROM pg_roles WHERE quote_ident(rolname) = '{name}')"
            self.ask(f"SELECT 'CREATE ROLE {name}' {unless} \\gexec")
        dump = next(backup.glob("database.dump.*"))
        restore = self._command("pg_restore", f"--dbname={self.name}_{RESTORING}", "--exit-on-error")
        commands = unpacking(self._settings, identity, dump)
        with (
            dump.open("rb") as file,
            pipe(*commands, restore, source=file, target=subprocess.DEVNULL, env=self._environment),
        ):
            pass
        return [line for line in lines if not ROLE.match(line)]

    def _read(self, part, identity):
        with part.open("rb") as file, pipe(*unpacking(self._settings, identity, part), source=file) as stream:
            return stream.read()

    def exchange(self, lines):
        """Puts the restored database in its place, with roles and passwords, in one transaction."""
        restored = f"{self.name}_{RESTORING}"
        statements = [
            "BEGIN;",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
            f"WHERE datname IN ('{self.name}', '{restored}');",
            f"ALTER DATABASE {self.name} RENAME TO {self.name}_{REPLACED};",
            f"ALTER DATABASE {restored} RENAME TO {self.name};",
            *lines,
            "COMMIT;",
        ]
        self.ask("\n".join(statements))

    def drop(self, ending):
        """Removes a database beside ours, if there is one."""
        self.ask(f"DROP DATABASE IF EXISTS {self.name}_{ending} WITH (FORCE)")

"""The database's user and password from a secret: rotated while the hub runs, and refused where it would be unsafe."""

import asyncio
import json
import logging
import secrets
import ssl
from urllib.parse import quote

import asyncpg
import boto3
import pytest
from aws_faults import refusing
from scram_postgres import scram_postgres, tls_in_front
from sqlalchemy import text
from tls_issuer import issuer
from typer.testing import CliRunner

from flip_common.keys import generate_api_key, hash_api_key
from flip_common.settings import SettingsError
from flip_common.wire import Role
from flip_hub import aws as hub_aws
from flip_hub.__main__ import app
from flip_hub.app import open_hub
from flip_hub.opening import open_database
from flip_hub.settings import HubSettings


@pytest.fixture(scope="module")
def postgres():
    with scram_postgres() as server:
        yield server


class Rotated:
    """A role with an empty database of its own, and the secret that names both user and password."""

    def __init__(self, postgres):
        self.postgres = postgres
        self.user = f"hub_{secrets.token_hex(4)}"
        self.name = f"flip-test/{self.user}"
        self.aws = boto3.client("secretsmanager")
        self.passwords = []
        self.url = f"postgresql://127.0.0.1:{postgres.port}/{self.user}"

    def new(self):
        self.passwords.append(secrets.token_urlsafe(24) + "@:/%'")
        return json.dumps({"username": self.user, "password": self.passwords[-1]})

    async def make(self):
        self.aws.create_secret(Name=self.name, SecretString=self.new())
        await self.postgres.execute(f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.quoted}'")
        await self.postgres.execute(f"CREATE DATABASE {self.user} OWNER {self.user}")

    async def rotate(self, stage="AWSCURRENT"):
        self.aws.put_secret_value(SecretId=self.name, SecretString=self.new(), VersionStages=[stage])
        await self.postgres.execute(f"ALTER ROLE {self.user} PASSWORD '{self.quoted}'")

    async def end_connections(self):
        await self.postgres.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.user}'"
        )

    @property
    def quoted(self):
        return self.passwords[-1].replace("'", "''")


@pytest.fixture
async def secret(aws, postgres):
    made = Rotated(postgres)
    await made.make()
    yield made
    await postgres.execute(f"DROP DATABASE {made.user} WITH (FORCE)")


@pytest.fixture
def hub_settings(tmp_path, secret, internal_key):
    def make(**changes):
        values = {
            "hub_data_dir": tmp_path / "hub",
            "database_url": secret.url,
            "database_secret": secret.name,
            "internal_service_key_hash": hash_api_key(internal_key),
        }
        return HubSettings(**{**values, **changes})

    return make


@pytest.fixture
def reads(monkeypatch):
    """Stages that were asked for, in order."""
    stages, call = [], hub_aws.call

    async def counted(service, operation, **arguments):
        stages.append(arguments["VersionStage"])
        return await call(service, operation, **arguments)

    monkeypatch.setattr(hub_aws, "call", counted)
    return stages


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_nobody_notices_a_rotation(secret, reads, hub, sign_in_as, register_trust, caplog):
    caplog.set_level(logging.DEBUG)
    admin, trust = await sign_in_as(Role.ADMIN), await register_trust("A")
    assert reads == ["AWSCURRENT"], "migration, pool, task bus and job watcher share it"
    poll = asyncio.create_task(trust.lease(wait=20))
    await until(lambda: hub.bus.waiting and not hub.db.engine.pool.checkedout() and "watches the jobs" in caplog.text)
    caplog.clear()
    await secret.rotate()
    await secret.end_connections()
    answers = await asyncio.gather(*(admin.client.get("/api/trusts") for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert reads == ["AWSCURRENT"] * 2, "all connections that were refused share one"
    await until(lambda: "listens again" in caplog.text and "watches the jobs" in caplog.text)
    with hub.bus.waiter(trust.trust_id) as wake:
        async with hub.db.transaction() as session:
            await hub.bus.announce(session, trust.trust_id)
        async with asyncio.timeout(20):
            await wake.wait()
    assert not poll.done(), "the long poll went on"
    hub.bus.stop_waiting()
    assert await poll == []
    kept = repr(vars(hub.db)) + repr(vars(hub.db._secret))
    for password in secret.passwords:
        assert password[:20] not in caplog.text + kept


async def test_between_the_new_password_and_its_becoming_current(secret, reads, hub):
    await secret.rotate("AWSPENDING")
    await secret.end_connections()
    async with hub.db.transaction() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    assert reads == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]


async def test_a_secret_that_cannot_be_read_later_is_told_once_and_tried_again(
    secret, aws, hub_settings, caplog, monkeypatch
):
    async with open_database(hub_settings()) as db:
        await secret.rotate()
        await secret.end_connections()
        with refusing("AccessDeniedException") as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            for _ in range(2):
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await db.connect()
        told = [record.message for record in caplog.records if record.name == "flip_hub.login"]
        assert len(told) == 1
        assert "AccessDenied" in told[0]
        assert "secretsmanager:GetSecretValue" in told[0]
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
        async with db.transaction() as session:
            assert await session.scalar(text("SELECT 1")) == 1


async def test_a_password_the_server_refuses_is_tried_twice_and_no_more(secret, reads, hub_settings):
    await secret.postgres.execute(f"ALTER ROLE {secret.user} PASSWORD 'another'")
    with pytest.raises(SettingsError, match=r"DATABASE_URL: no connection \(InvalidPasswordError: "):
        async with open_database(hub_settings()):
            pass
    assert reads == ["AWSCURRENT", "AWSCURRENT", "AWSPENDING"]


async def test_an_administrator_is_made_with_it(secret, write_env):
    env_file = write_env(database_url=secret.url, database_secret=secret.name)
    arguments = ["create-admin", "--email", "ada@example.org", "--env-file", str(env_file)]
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    made = await asyncio.to_thread(CliRunner().invoke, app, arguments, input="correct horse battery\n")
    assert made.exit_code == 0, made.output
    secret.aws.put_secret_value(SecretId=secret.name, SecretString="no JSON")
    refused = await asyncio.to_thread(CliRunner().invoke, app, arguments, input="correct horse battery\n")
    assert (refused.exit_code, "DATABASE_SECRET: " in refused.stderr) == (2, True)
    root.handlers[:], root.level = handlers, level


WRONG = [
    ({"SecretString": "hunter2-hunter2"}, "not of the form"),
    ({"SecretString": '["hunter2-hunter2"]'}, "not of the form"),
    ({"SecretString": '{"username": "u", "passwort": "hunter2-hunter2"}'}, "not of the form"),
    ({"SecretString": '{"username": "", "password": "hunter2-hunter2"}'}, "no text, or empty"),
    ({"SecretString": '{"username": "u", "password": 12345678}'}, "no text, or empty"),
    ({"SecretString": '{"username": "other", "password": "hunter2-hunter2"}'}, "its user is other, that of"),
    ({"SecretBinary": b'{"username": "u", "password": "hunter2-hunter2"}'}, "binary"),
]


async def test_secrets_that_are_none(secret, hub_settings):
    settings = hub_settings(database_url=secret.url.replace("//", "//me%2Dmyself@"))
    for form, reason in WRONG:
        secret.aws.put_secret_value(SecretId=secret.name, **form)
        with pytest.raises(SettingsError, match=f"^DATABASE_SECRET: {secret.name} cannot be used: .*{reason}") as told:
            async with open_database(settings):
                pass
        assert "hunter2" not in str(told.value)
        assert "12345678" not in str(told.value)


async def test_secrets_that_cannot_be_had(aws, hub_settings, monkeypatch):
    async def refused(settings):
        with pytest.raises(SettingsError) as told:
            async with open_database(settings):
                pass
        return str(told.value)

    assert "ResourceNotFound" in await refused(hub_settings(database_secret="flip/none"))
    with refusing("AccessDeniedException") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert "AccessDenied" in (denied := await refused(hub_settings()))
        assert "secretsmanager:GetSecretValue" in denied
    assert "Could not connect to the endpoint" in await refused(hub_settings())


async def test_tls_is_verified(tmp_path, secret, hub_settings):
    files, others = issuer(tmp_path / "ca")("db"), issuer(tmp_path / "other-ca")("db")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)

    def settings(host, port, ca):
        url = f"postgresql://{host}:{port}/{secret.user}?sslmode=verify-full&sslrootcert={ca}"
        return hub_settings(database_url=url)

    async with tls_in_front(secret.postgres.port, context) as port:
        async with open_hub(settings("localhost", port, files.ca)) as hub, hub.db.transaction() as session:
            assert await session.scalar(text("SELECT current_user")) == secret.user
        user, password = secret.user, quote(secret.passwords[-1], safe="")
        url = f"postgresql://{user}:{password}@localhost:{port}/{user}?sslmode=verify-full&sslrootcert={files.ca}"
        async with open_database(hub_settings(database_url=url, database_secret=None)) as db:
            await (await db.connect()).close()
        for host, listening, ca, reason in (
            ("localhost", port, others.ca, "certificate verify failed"),
            ("127.0.0.1", port, files.ca, "certificate is not valid for '127.0.0.1'"),
            ("localhost", port, tmp_path / "none.pem", "FileNotFoundError"),
            ("localhost", secret.postgres.port, files.ca, "rejected SSL upgrade"),
        ):
            with pytest.raises(SettingsError, match=rf"DATABASE_URL: no connection \(.*{reason}"):
                async with open_database(settings(host, listening, ca)):
                    pass


TLS = "?sslmode=verify-full&sslrootcert=/etc/ca.pem"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "it is postgresql://HOST"),
        ("postgresql://u:p@db/flip" + TLS, "without a password"),
        ("postgresql://:p@db/flip" + TLS, "without a password"),
        ("postgresql://db/flip", "would go to whoever answers for db"),
        ("postgresql://db/flip?sslmode=require", "would go to whoever answers for db"),
        ("postgresql://db/flip?sslmode=verify-ca&sslrootcert=/etc/ca.pem", "would go to whoever"),
        ("postgresql://127.0.0.1.example.org/flip", "would go to whoever"),
        ("postgresql://localhost/flip?host=db.example.org", "it is postgresql://HOST"),
        ("postgresql://localhost/flip?password=p", "it is postgresql://HOST"),
        ("postgresql://localhost,db/flip", "it is postgresql://HOST"),
        ("postgresql://db/flip?sslmode=verify-full&sslmode=disable", "it is postgresql://HOST"),
        ("postgresql:///flip", "it is postgresql://HOST"),
        ("sqlite:///flip.db", "it is postgresql://HOST"),
    ],
)
def test_a_url_that_would_let_the_password_travel_is_refused(tmp_path, monkeypatch, url, reason):
    with pytest.raises(SettingsError, match=reason) as told:
        load(tmp_path, monkeypatch, DATABASE_SECRET="flip/db", DATABASE_URL=url)
    assert "p@" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@db.example.org:5432/flip" + TLS,
        "postgresql://localhost/f",
        "postgresql://[::1]:1/f?sslmode=disable",
    ],
)
def test_urls_that_are_taken(tmp_path, monkeypatch, url):
    arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:rds!db-00000000-0000-4000-8000-000000000000-AbCdEf"
    settings = load(tmp_path, monkeypatch, DATABASE_SECRET=arn, DATABASE_URL=url)
    assert settings.database_secret == arn
    for wrong in ("two words", "arn:aws:s3:::bucket", '{"username": "u"}'):
        with pytest.raises(SettingsError, match="DATABASE_SECRET: String should match"):
            load(tmp_path, monkeypatch, DATABASE_SECRET=wrong, DATABASE_URL=url)


def load(tmp_path, monkeypatch, **environment):
    monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("INTERNAL_SERVICE_KEY_HASH", hash_api_key(generate_api_key()))
    for name, value in environment.items():
        monkeypatch.setenv(name, value or "")
    return HubSettings.load()

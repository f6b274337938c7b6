"""`python -m flip_hub`: serve, make the first administrator, fetch what a task needs, print the OpenAPI document."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer
from pydantic import ValidationError

from flip_common.logs import configure_logging
from flip_common.settings import SettingsError
from flip_common.web import Problem
from flip_common.wire import Role
from flip_hub.app import create_app
from flip_hub.config_files import ENV_FILE, ConfigError, Wanted, fetch
from flip_hub.embedded import EmbeddedDatabaseError
from flip_hub.opening import open_database
from flip_hub.serving import Address, ServeError, Tls
from flip_hub.serving import serve as serve_until_stopped
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_hub.trusts.vault import VaultError
from flip_hub.users import accounts
from flip_hub.users.schemas import CreateUser

app = typer.Typer(help="The FLIP hub.", no_args_is_help=True, add_completion=False)

EnvFile = Annotated[Path | None, typer.Option(help="File of settings as NAME=value lines; else the environment")]


@app.command(epilog="Example: python -m flip_hub serve --port 8000 --internal-port 8050 --env-file hub.env")
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address of the public API")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the public API; 0: any free one")] = 8000,
    internal_host: Annotated[
        str, typer.Option(help="Address of the internal API; only the FL server may reach it")
    ] = "127.0.0.1",
    internal_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the internal API")] = 8050,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain of the public API")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key of the public API")] = None,
    trusted_proxies: Annotated[
        str, typer.Option(help="Addresses whose X-Forwarded-For is believed, separated by commas")
    ] = "127.0.0.1",
    env_file: EnvFile = None,
) -> None:
    """Serve the public and the internal API until SIGTERM."""
    settings = _settings(env_file)
    configure_logging("hub", settings.log_level)
    if (tls_cert is None) != (tls_key is None):
        _refuse("--tls-cert and --tls-key go together")
    tls = Tls(tls_cert, tls_key) if tls_cert and tls_key else None
    try:
        public, internal = Address(host, port), Address(internal_host, internal_port)
        serve_until_stopped(settings, public, internal, tls=tls, trusted_proxies=trusted_proxies)
    except (ServeError, EmbeddedDatabaseError, SettingsError, VaultError) as error:
        _refuse(str(error))


@app.command("create-admin", epilog="Example: python -m flip_hub create-admin --email ada@example.org < password.txt")
def create_admin(
    *,
    email: Annotated[str, typer.Option(help="E-mail address, the name to sign in with")],
    full_name: Annotated[str, typer.Option(help="Name for others to see")] = "",
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Only HUB_OIDC_ISSUER signs this administrator in")
    ] = False,
    env_file: EnvFile = None,
) -> None:
    """Make an administrator. The password is asked for, or is the first line of stdin. The hub may be running."""
    settings = _settings(env_file)
    configure_logging("hub", "WARNING")
    if no_password and settings.hub_oidc_issuer is None:
        _refuse("--no-password: nobody could sign in so; set HUB_OIDC_ISSUER, or leave it out")
    password = None if no_password else _password()
    try:
        body = CreateUser.model_validate(
            {"email": email, "full_name": full_name, "password": password, "roles": {Role.ADMIN}}
        )
        asyncio.run(_create_admin(settings, body))
    except ValidationError as error:
        _refuse("\n".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors(include_input=False)))
    except (Problem, EmbeddedDatabaseError, SettingsError) as error:
        _refuse(str(error))
    typer.echo(f"administrator {body.email} made")


@app.command(epilog="Example: python -m flip_hub openapi --output docs/openapi.json")
def openapi(
    output: Annotated[Path | None, typer.Option(help="File to write instead of printing")] = None,
) -> None:
    """Print the OpenAPI document of the public API."""
    # The document depends on the routes alone; nothing is called, so there is no hub to open.
    document = create_app(cast(Hub, None)).openapi()
    text = json.dumps(document, indent=2, sort_keys=True)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(f"{text}\n")


@app.command(
    "fetch-config",
    epilog="Example: python -m flip_hub fetch-config --to /config --owner 10001 --setting FL_API_KEY=fl-api-key",
)
def fetch_config(
    *,
    to: Annotated[Path, typer.Option(help=f"Folder to write {ENV_FILE} and the files into")],
    owner: Annotated[int, typer.Option(min=0, max=2**32 - 2, help="Number of the user who alone may read them")],
    setting: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SECRET", help="A setting from a secret's ARN or name; repeatable")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SECRET", help="A file from a secret's text; repeatable")
    ] = None,
    object_: Annotated[
        list[str] | None, typer.Option("--object", metavar="NAME=s3://BUCKET/KEY", help="A file from S3; repeatable")
    ] = None,
) -> None:
    """Bring secrets from AWS into files before another container starts: all of them, or none."""
    configure_logging("hub", "WARNING")
    try:
        wanted = Wanted.of(setting or (), file or (), object_ or ())
        asyncio.run(fetch(wanted, to, owner))
    except (ConfigError, SettingsError) as error:
        _refuse(str(error))


async def _create_admin(settings: HubSettings, body: CreateUser) -> None:
    async with open_database(settings, pool_size=1, join=True) as db, db.transaction() as session:
        await accounts.create(session, "create-admin", body)


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\n")


def _settings(env_file: Path | None) -> HubSettings:
    try:
        return HubSettings.load(env_file)
    except SettingsError as error:
        _refuse(str(error))


def _refuse(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()

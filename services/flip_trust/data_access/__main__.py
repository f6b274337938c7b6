"""`python -m flip_trust.data_access`: serves data-access-api, or prepares its database."""

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import asyncpg
import typer
import uvicorn

from flip_common.logs import configure_logging, redact
from flip_common.settings import SettingsError
from flip_trust.data_access.app import create_app
from flip_trust.data_access.prepare import PrepareError
from flip_trust.data_access.prepare import prepare_database as prepare
from flip_trust.data_access.settings import DataAccessSettings

DRAIN_SECONDS = 10
EXIT_SETTINGS = 2
EnvFile = Annotated[Path | None, typer.Option(help="File of settings as NAME=value lines; else the environment")]

app = typer.Typer(help="The trust's window on its OMOP database.", add_completion=False, pretty_exceptions_enable=False)


@app.callback(
    invoke_without_command=True,
    epilog="Example: python -m flip_trust.data_access --port 8010 --env-file config/data-access.env",
)
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one")] = 8010,
    env_file: EnvFile = None,
) -> None:
    """Serve data-access-api until SIGTERM; running queries get a few seconds to end."""
    if context.invoked_subcommand is not None:
        return
    settings = _settings(env_file)
    configure_logging("data-access-api", settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


@app.command(
    "prepare-database", epilog="Example: python -m flip_trust.data_access prepare-database --env-file data-access.env"
)
def prepare_database(
    env_file: EnvFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whether anything would be changed")] = False,
) -> None:
    """Create the read-only role, its grants and the place of frozen cohorts. Run it after every load or upgrade."""
    settings = _settings(env_file)
    configure_logging("data-access-api", settings.log_level)
    try:
        changed = asyncio.run(
            prepare(
                settings.data_access_owner_database_url.get_secret_value(),
                settings.data_access_database_url.get_secret_value(),
                settings.data_access_statement_timeout_seconds,
                settings.columns,
                dry_run=dry_run,
            )
        )
    except PrepareError as error:
        _refuse(str(error))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _refuse(f"the database of DATA_ACCESS_OWNER_DATABASE_URL cannot be prepared: {redact(str(error))}")
    if not changed:
        typer.echo("the database is ready; nothing had to be changed")
    else:
        typer.echo("the database would be changed" if dry_run else "the database is ready; it was changed")


def _settings(env_file: Path | None) -> DataAccessSettings:
    try:
        return DataAccessSettings.load(env_file)
    except SettingsError as error:
        _refuse(str(error))


def _refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(EXIT_SETTINGS)


if __name__ == "__main__":
    app()

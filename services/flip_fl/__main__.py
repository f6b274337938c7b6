"""Runs the FL API with its FL server: `python -m flip_fl`."""

from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from flip_common.logs import configure_logging
from flip_common.settings import SettingsError
from flip_fl.app import create_app
from flip_fl.command import run_command
from flip_fl.flower.backend import FlowerBackend
from flip_fl.settings import FlApiSettings

CONFIGURATION_ERROR = 2


def main(
    host: Annotated[str, typer.Option(help="Address of the FL API; the hub alone calls it")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the FL API")] = 8040,
    env_file: Annotated[Path | None, typer.Option(help="File with the settings")] = None,
) -> None:
    """Runs the FL API, the SuperLink with the front for trusts, and the SuperExec.

    Example: python -m flip_fl --port 8040 --env-file /opt/flip/config/fl-api.env
    """
    configure_logging("flip-fl-api")
    try:
        settings = FlApiSettings.load(env_file)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CONFIGURATION_ERROR) from None
    app = create_app(FlowerBackend(settings), settings.fl_api_key.get_secret_value(), settings.fl_max_app_bytes)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    run_command(main)

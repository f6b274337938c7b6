"""Runs imaging-api: `python -m flip_trust.imaging`."""

import logging
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from flip_common.logs import configure_logging
from flip_common.settings import SettingsError
from flip_trust.imaging.app import create_app
from flip_trust.imaging.settings import ImagingSettings

DRAIN_SECONDS = 10


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8001,
    env_file: Annotated[Path | None, typer.Option(help="File of settings, NAME=value a line.")] = None,
) -> None:
    """Serves imaging-api until SIGTERM.

    Example: python -m flip_trust.imaging --port 8001 --env-file config/imaging.env
    """
    try:
        settings = ImagingSettings.load(env_file)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    configure_logging("imaging-api", settings.log_level)
    # Below warnings it logs queries and answers: patients' identifiers.
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    uvicorn.run(create_app(settings), host=host, port=port, log_config=None, timeout_graceful_shutdown=DRAIN_SECONDS)


if __name__ == "__main__":
    typer.run(main)

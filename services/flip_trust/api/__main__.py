"""`python -m flip_trust.api`: runs trust-api until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from pydantic import ValidationError

from flip_common.logs import configure_logging, register_secrets
from flip_common.settings import SettingsError
from flip_common.wire import SiteKey
from flip_trust.api.app import create_app
from flip_trust.api.handlers import Handlers
from flip_trust.api.hub import HubClient
from flip_trust.api.poller import IdentityMismatch, Poller
from flip_trust.api.settings import TrustApiSettings
from flip_trust.api.site import SiteService
from flip_trust.disclosure import Disclosure

EXIT_SETTINGS, EXIT_IDENTITY = 1, 2
DEFAULT_PORT = 8020
_MAX_KEY_FILE_BYTES = 4096

log = logging.getLogger("flip_trust.api")


def load_settings(env_file: Path | None) -> tuple[TrustApiSettings, SiteKey | None]:
    """Reads the settings and the FL public key, if one is named.

    Raises:
        SettingsError: something is wrong; the text names it and the remedy.
    """
    settings = TrustApiSettings.load(env_file)
    register_secrets(key.to_base64() for key in settings.payload_keys)
    try:
        ssl.create_default_context(cafile=settings.hub_ca_file)
    except OSError as error:
        raise SettingsError(f"HUB_CA_FILE: {settings.hub_ca_file} cannot be used ({error})") from None
    return settings, read_public_key(settings.fl_public_key_file)


def read_public_key(path: Path | None) -> SiteKey | None:
    """The public key in a file. A private key is refused: it must never leave the site.

    Raises:
        SettingsError: no such file, or it does not hold one public key.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_KEY_FILE_BYTES + 1).decode("ascii", "replace")
    except OSError as error:
        raise SettingsError(f"FL_PUBLIC_KEY_FILE: {path} cannot be read ({error.strerror})") from None
    if "PRIVATE KEY" in text:
        raise SettingsError(f"FL_PUBLIC_KEY_FILE: {path} holds a private key; name the public one")
    if not text.startswith(("ssh-", "ecdsa-", "-----BEGIN PUBLIC KEY-----")):
        raise SettingsError(f"FL_PUBLIC_KEY_FILE: {path} holds no OpenSSH or PEM public key")
    try:
        return SiteKey(public_key=text)
    except ValidationError:
        raise SettingsError(f"FL_PUBLIC_KEY_FILE: {path} is too short or too long for a public key") from None


async def serve(
    settings: TrustApiSettings, fl_key: SiteKey | None, listener: socket.socket, stop: asyncio.Event
) -> None:
    """Runs poller and health page until `stop` is set and the tasks have drained.

    Raises:
        IdentityMismatch: the hub takes this trust for another.
    """
    async with contextlib.AsyncExitStack() as stack:
        hub = HubClient(settings)
        data_access = SiteService("data-access-api", settings.data_access_api_url, settings)
        imaging = SiteService("imaging-api", settings.imaging_api_url, settings)
        for client in (hub, data_access, imaging):
            stack.push_async_callback(client.close)
        disclosure = Disclosure(settings.cohort_query_threshold, settings.cohort_query_rounding)
        handlers = Handlers(data_access, imaging, disclosure)
        poller = Poller(settings, hub, handlers, (data_access, imaging), fl_key)
        config = uvicorn.Config(
            create_app(settings, poller),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=3,
        )
        server = uvicorn.Server(config)
        # The poller decides when to stop: health must be answered while tasks drain.
        server.capture_signals = contextlib.nullcontext
        page = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await poller.run(stop)
        finally:
            server.should_exit = True
            await page


async def _until_signalled(settings: TrustApiSettings, fl_key: SiteKey | None, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, fl_key, listener, stop)


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    env_file: Annotated[Path | None, typer.Option(help="File of settings, NAME=value a line.")] = None,
) -> None:
    """Polls the hub for this trust's tasks and answers them.

    Example: python -m flip_trust.api --env-file /opt/flip/kit/trust-api.env

    Ends with status 2 when the hub takes this trust for another than EXPECTED_TRUST_ID.
    """
    try:
        settings, fl_key = load_settings(env_file)
        configure_logging("trust-api", settings.log_level)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (SettingsError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_SETTINGS) from None
    except OSError as error:
        typer.echo(f"cannot listen on {host}:{port}: {error}", err=True)
        raise typer.Exit(EXIT_SETTINGS) from None
    log.info("health at http://%s:%d/health", *listener.getsockname()[:2])
    try:
        asyncio.run(_until_signalled(settings, fl_key, listener))
    except IdentityMismatch as error:
        log.error("%s", error)
        raise typer.Exit(EXIT_IDENTITY) from None


if __name__ == "__main__":
    typer.run(main)

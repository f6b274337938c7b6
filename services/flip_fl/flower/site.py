"""A site's FL client: a SuperNode and a SuperExec, kept running until SIGTERM.

The site's key is made here on first start and never leaves; its public half lies beside it as `<key>.pub`, for
`PUT /sites/{trust}` at the FL API.
"""

import asyncio
import logging
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from flip_common.logs import configure_logging
from flip_common.settings import SettingsError
from flip_fl.certs import write_private
from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles, runs_in
from flip_fl.processes import Supervisor, child_environment, free_port, kill_tree
from flip_fl.settings import SiteSettings
from flip_fl.site_key import ensure_site_key

log = logging.getLogger(__name__)

CONFIGURATION_ERROR = 2
# A SuperNode may need the site's proxy; an app must not.
PROXY_NAMES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


class Site:
    """The processes of a site's FL client."""

    def __init__(self, settings: SiteSettings) -> None:
        self._runs = settings.fl_site_dir / "runs"
        for folder in (settings.fl_site_dir, self._runs, settings.fl_site_dir / "home"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ensure_site_key(settings.key_file)
        port = free_port()
        secret = settings.fl_site_dir / "superexec.secret"
        write_private(secret, secrets.token_bytes(32))
        home = str(settings.fl_site_dir / "home")
        common = {"HOME": home, "FLWR_HOME": f"{home}/.flwr", **internals.QUIET}
        self.supernode = Supervisor(
            "SuperNode",
            [
                *(sys.executable, "-m", "flip_fl.flower.supernode"),
                f"--superlink={settings.fl_server_address}",
                f"--ca={settings.fl_server_ca_file.resolve()}",
                f"--key={settings.key_file.resolve()}",
                f"--name={settings.supernode_name}",
                f"--port={port}",
                f"--folder={self._runs.resolve()}",
                f"--secret={secret.resolve()}",
                f"--poll-seconds={settings.fl_poll_seconds}",
            ],
            child_environment(common, PROXY_NAMES) | _no_proxy_for_loopback(),
            settings.fl_site_dir / "supernode.log",
        )
        self.superexec = Supervisor(
            "SuperExec",
            [
                *(sys.executable, "-m", "flip_fl.flower.superexec"),
                f"--folder={self._runs.resolve()}",
                f"--address=127.0.0.1:{port}",
                f"--secret={secret.resolve()}",
            ],
            child_environment(common | app_environment(settings)),
            settings.fl_site_dir / "superexec.log",
        )

    async def run_until(self, stop: asyncio.Event) -> None:
        """Runs the client until `stop` is set, then ends every process it started."""
        self._end_leftovers()
        try:
            await self.supernode.start()
            await self.superexec.start()
            await stop.wait()
        finally:
            await asyncio.gather(self.superexec.stop(), self.supernode.stop())
            self._end_leftovers()

    def _end_leftovers(self) -> None:
        for run_id in runs_in(self._runs):
            files = RunFiles(self._runs, run_id)
            for process in files.processes():
                log.warning("ending process %d, left over from run %d", process.pid, run_id)
                kill_tree(process)
        for path in self._runs.glob("*.process"):
            path.unlink(missing_ok=True)


def app_environment(settings: SiteSettings) -> dict[str, str]:
    """What a ClientApp's process is told (design 3.4)."""
    return {
        "SUPERNODE_NAME": settings.supernode_name,
        "DATA_ACCESS_API_URL": settings.data_access_api_url,
        "IMAGING_API_URL": settings.imaging_api_url,
        "TRUST_INTERNAL_SERVICE_KEY": settings.trust_app_service_key.get_secret_value(),
        "TRUST_INTERNAL_SERVICE_KEY_HEADER": settings.trust_internal_service_key_header,
        "IMAGES_DIR": str(settings.images_dir.resolve()),
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(min(settings.fl_poll_seconds, 0.25)),
    }


def _no_proxy_for_loopback() -> dict[str, str]:
    names = child_environment({}, ("NO_PROXY",)).get("NO_PROXY", "")
    joined = ",".join(filter(None, (names, "127.0.0.1", "localhost")))
    return {"NO_PROXY": joined, "no_proxy": joined}


async def _run(settings: SiteSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Site(settings).run_until(stop)


def main(
    env_file: Annotated[Path | None, typer.Option(help="File with the settings")] = None,
    print_public_key: Annotated[
        bool, typer.Option(help="Print the site's public key (making the pair if needed) and end")
    ] = False,
) -> None:
    """Runs a trust's FL client.

    Example: python -m flip_fl.flower.site --env-file /opt/flip/config/fl-site.env
    """
    configure_logging("flip-fl-site")
    try:
        settings = SiteSettings.load(env_file)
    except SettingsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CONFIGURATION_ERROR) from None
    if print_public_key:
        typer.echo(ensure_site_key(settings.key_file).decode())
        return
    asyncio.run(_run(settings))


if __name__ == "__main__":
    run_command(main)

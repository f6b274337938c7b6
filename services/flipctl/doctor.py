"""`flipctl doctor`: what is wrong with this install, and the remedy."""

import importlib.metadata
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import httpx
import psutil
import typer
from packaging.requirements import Requirement
from pydantic import SecretStr

from flip_common.settings import ServiceSettings, SettingsError
from flipctl.api import ApiError, HubCaFile, hub_tls
from flipctl.output import JsonFlag, console, print_json, print_table

EXAMPLE = "Example: flipctl doctor --service trust-api --env-file /opt/flip/config/trust-api.env"
MIN_FREE_BYTES = 5 * 2**30
MIN_MEMORY_BYTES = 4 * 2**30
MAX_CLOCK_SKEW_SECONDS = 60.0

Verdict = Literal["ok", "warning", "fault"]


class Service(StrEnum):
    """Services whose settings can be checked."""

    HUB = "hub"
    TRUST_API = "trust-api"
    DATA_ACCESS = "data-access"
    IMAGING = "imaging"
    FL_SERVER = "fl-server"
    FL_CLIENT = "fl-client"


# Module and class of each service's settings, and the extra of this distribution that brings its packages.
SETTINGS = {
    Service.HUB: ("flip_hub.settings", "HubSettings", "hub"),
    Service.TRUST_API: ("flip_trust.api.settings", "TrustApiSettings", "trust"),
    Service.DATA_ACCESS: ("flip_trust.data_access.settings", "DataAccessSettings", "trust"),
    Service.IMAGING: ("flip_trust.imaging.settings", "ImagingSettings", "trust"),
    Service.FL_SERVER: ("flip_fl.settings", "FlApiSettings", "fl-flower"),
    Service.FL_CLIENT: ("flip_fl.settings", "SiteSettings", "fl-flower"),
}


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `remedy` is empty when all is well."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def settings_class(service: Service) -> type[ServiceSettings]:
    """The settings of a service.

    Raises:
        ImportError: the packages of the service are not installed.
    """
    module, name, _ = SETTINGS[service]
    found: type[ServiceSettings] = getattr(import_module(module), name)
    return found


def check_python() -> Iterator[Finding]:
    """Python's version, and the packages this distribution declares."""
    version = sys.version.split()[0]
    yield Finding("python", "ok", version)
    extras = {"", *(importlib.metadata.metadata("flip-platform").get_all("Provides-Extra") or [])}
    wrong = []
    for text in importlib.metadata.requires("flip-platform") or []:
        requirement = Requirement(text)
        if requirement.name == "flip-platform" or not _wanted(requirement, extras):
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra this host does not need
        if not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed} (needs {requirement.specifier})")
    if wrong:
        yield Finding("packages", "fault", ", ".join(wrong), "pip install -c constraints.txt -e '.[EXTRA]'")
    else:
        yield Finding("packages", "ok", "versions as declared")


def _wanted(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def check_host() -> Iterator[Finding]:
    """Disk, memory, and the one external program the trust's imaging uses."""
    free = shutil.disk_usage(Path.cwd()).free
    verdict: Verdict = "ok" if free >= MIN_FREE_BYTES else "fault"
    remedy = "" if verdict == "ok" else f"free {_gb(MIN_FREE_BYTES - free)} on the disk of {Path.cwd()}"
    yield Finding("disk", verdict, f"{_gb(free)} free", remedy)
    memory = psutil.virtual_memory().total
    verdict = "ok" if memory >= MIN_MEMORY_BYTES else "warning"
    remedy = "" if verdict == "ok" else f"a demo needs about {_gb(MIN_MEMORY_BYTES)}"
    yield Finding("memory", verdict, _gb(memory), remedy)
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    converter = shutil.which("dcm2niix", path=scripts)
    if converter:
        yield Finding("dcm2niix", "ok", converter)
    else:
        yield Finding("dcm2niix", "warning", "not found", "on a trust: pip install -e '.[trust]'")


def check_service(service: Service, env_file: Path | None) -> Iterator[Finding]:
    """Settings of one service, as it would read them at its start."""
    name = f"settings of {service}"
    try:
        settings_class(service).load(env_file)
    except ImportError as error:
        yield Finding(name, "fault", f"cannot import {error.name}", f"pip install -e '.[{SETTINGS[service][2]}]'")
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Finding(name, "fault", line, f"correct it in {env_file or 'the environment'}; see docs/settings.md")
    else:
        yield Finding(name, "ok", f"valid ({env_file or 'environment'})")
    if env_file is not None and env_file.exists():
        mode = stat.S_IMODE(env_file.stat().st_mode)
        if mode & 0o077:
            yield Finding("env file", "fault", f"{env_file} has mode {mode:04o}", f"chmod 600 {env_file}")
        else:
            yield Finding("env file", "ok", f"{env_file} is its owner's only")


def check_hub(url: str, ca: Path | None = None, proxy: SecretStr | None = None) -> Iterator[Finding]:
    """Whether the hub answers under its API URL, and how far the clocks are apart. Asks as a trust's services do."""
    through = proxy.get_secret_value() if proxy else None
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=10, verify=hub_tls(ca), proxy=through, trust_env=False)
        answer.raise_for_status()
    except ApiError as error:
        yield Finding("hub", "fault", str(error), "give the file the hub's engineer sent, hub-ca.pem of a kit")
        return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        remedy = (
            "check the URL (it ends in /api), DNS, firewall (outbound 443) and the certificate (a private CA: --ca)"
        )
        yield Finding("hub", "fault", f"{url}: {type(error).__name__}: {error}", remedy)
        return
    yield Finding("hub", "ok", f"{url} answers in {answer.elapsed.total_seconds() * 1000:.0f} ms")
    date = answer.headers.get("date")
    if date is None:
        return
    skew = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    verdict: Verdict = "ok" if skew <= MAX_CLOCK_SKEW_SECONDS else "warning"
    yield Finding("clock", verdict, f"{skew:.0f} s from the hub's", "" if verdict == "ok" else "set the time by NTP")


def _gb(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def doctor(
    service: Annotated[list[Service] | None, typer.Option(help="Check this service's settings; repeatable.")] = None,
    env_file: Annotated[Path | None, typer.Option(help="Env file the service reads.")] = None,
    hub: Annotated[str | None, typer.Option(help="Hub API URL to try, such as https://hub.example.org/api.")] = None,
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Look for what is wrong with this install and say what to do. Exit status 1 when a fault was found."""
    checks: list[Callable[[], Iterator[Finding]]] = [check_python, check_host]
    findings = [finding for check in checks for finding in check()]
    for name in service or []:
        findings += check_service(name, env_file)
    if hub:
        findings += check_hub(hub, ca)
    faults = sum(finding.verdict == "fault" for finding in findings)
    if as_json:
        print_json({"faults": faults, "findings": [asdict(finding) for finding in findings]})
    else:
        print_table("flipctl doctor", [asdict(finding) for finding in findings])
        console.print(f"\n{faults} fault{'' if faults == 1 else 's'} found")
    raise typer.Exit(1 if faults else 0)

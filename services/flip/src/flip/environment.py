"""Which side of the federation this process is on, read from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from flip.errors import ConfigurationError

DEFAULT_OUTPUT_DIR = "flip-output"
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})
LAPTOP_NAMES = ("DEV_DATAFRAME", "DEV_IMAGES_DIR")
SERVER_NAMES = ("FLIP_API_INTERNAL_URL",)
SITE_NAMES = ("DATA_ACCESS_API_URL", "IMAGING_API_URL")


@dataclass(frozen=True)
class Laptop:
    """LOCAL_DEV=true. `dataframe` is a CSV, `images_dir` holds `<accession>/input_*.nii.gz`."""

    dataframe: Path | None
    images_dir: Path | None
    output_dir: Path


@dataclass(frozen=True)
class Site:
    """A ClientApp's process at a trust. `images_dir` is the cache for this site's studies."""

    data_access_url: str
    imaging_url: str
    images_dir: Path
    key_header: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """A ServerApp's process beside the FL server. `url` is the base up to and including `/api/internal`.

    `ca_file` is the only authority trusted for it; None means the system's.
    """

    url: str
    ca_file: Path | None
    key_header: str
    key: str = field(repr=False)


def detect(environ: Mapping[str, str]) -> Laptop | Site | Server:
    """Reads which side this is; LOCAL_DEV, where set, decides over everything else.

    Raises:
        ConfigurationError: nothing, too little or two sides at once are configured.
    """
    local = _flag(environ, "LOCAL_DEV")
    if local:
        return _laptop(environ)
    at_server, at_site = _any(environ, SERVER_NAMES), _any(environ, SITE_NAMES)
    if at_server and at_site:
        raise ConfigurationError(
            "both FLIP_API_INTERNAL_URL (the server's side) and DATA_ACCESS_API_URL or IMAGING_API_URL (a site's "
            "side) are set; a process is on one side only: unset the other"
        )
    if at_server:
        return Server(
            url=_url(environ, "FLIP_API_INTERNAL_URL"),
            ca_file=_file(environ, "FLIP_API_CA_FILE"),
            key_header=environ.get("INTERNAL_SERVICE_KEY_HEADER") or "X-Internal-Service-Key",
            key=_required(environ, "INTERNAL_SERVICE_KEY"),
        )
    if at_site:
        return Site(
            data_access_url=_url(environ, "DATA_ACCESS_API_URL"),
            imaging_url=_url(environ, "IMAGING_API_URL"),
            images_dir=Path(_required(environ, "IMAGES_DIR")),
            key_header=environ.get("TRUST_INTERNAL_SERVICE_KEY_HEADER") or "X-Trust-Internal-Service-Key",
            key=_required(environ, "TRUST_INTERNAL_SERVICE_KEY"),
        )
    if local is None and _any(environ, LAPTOP_NAMES):
        return _laptop(environ)
    raise ConfigurationError(
        "FLIP does not know where it runs. On a laptop set LOCAL_DEV=true, DEV_DATAFRAME (a CSV) and DEV_IMAGES_DIR "
        "(folders named by accession). At a site DATA_ACCESS_API_URL, IMAGING_API_URL, TRUST_INTERNAL_SERVICE_KEY "
        "and IMAGES_DIR are set, at the server FLIP_API_INTERNAL_URL and INTERNAL_SERVICE_KEY."
    )


def _laptop(environ: Mapping[str, str]) -> Laptop:
    dataframe, images = (environ.get(name) for name in LAPTOP_NAMES)
    return Laptop(
        dataframe=Path(dataframe) if dataframe else None,
        images_dir=Path(images) if images else None,
        output_dir=Path(environ.get("DEV_OUTPUT_DIR") or DEFAULT_OUTPUT_DIR),
    )


def _flag(environ: Mapping[str, str], name: str) -> bool | None:
    if name not in environ:
        return None
    word = environ[name].strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ConfigurationError(f"{name}={environ[name]!r}: use true or false")


def _any(environ: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(environ.get(name) for name in names)


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise ConfigurationError(f"{name} is not set; it is required here")
    return value


def _file(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    if value and not Path(value).is_file():
        raise ConfigurationError(f"{name}={value} is no file that this process can read; correct it or unset it")
    return Path(value) if value else None


def _url(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name)
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ConfigurationError(f"{name} is not a plain http or https URL such as http://127.0.0.1:8010")
    return value.rstrip("/")

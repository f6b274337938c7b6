"""`flipctl dev`: the verbs behind the Makefile's."""

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer

from flipctl.api import ApiError
from flipctl.dev import DevError
from flipctl.dev.layout import PARTS, TRUSTS, resolve, services
from flipctl.output import console, fail

if TYPE_CHECKING:
    from flipctl.dev.federation import Federation

app = typer.Typer(help="A federation of containers on this machine's Docker, for contributors.", no_args_is_help=True)
ROOT = Path(__file__).resolve().parents[3]
Parts = Annotated[
    list[str] | None, typer.Argument(help=f"{', '.join(PARTS)}, or trusts for all trusts; everything by default.")
]


@app.command(epilog="Example: flipctl dev up hub Trust_1")
def up(parts: Parts = None) -> None:
    """Start parts of the federation from the images built here, and wait until they are healthy and connected."""
    _do(lambda federation: federation.up(_parts(parts)))
    console.print("the hub's API: https://localhost:8000/api (CA: .flip/dev/certificates/ca.crt)")
    console.print("sign in as admin@dev.example; ADMIN_PASSWORD is in .flip/dev/secrets.env")


@app.command(epilog="Example: flipctl dev down --data")
def down(
    parts: Parts = None,
    data: Annotated[bool, typer.Option("--data", help="Remove databases and keys, too.")] = False,
) -> None:
    """Stop and remove containers; data stay unless --data."""
    _do(lambda federation: federation.down(_parts(parts), data=data))


@app.command(epilog="Example: flipctl dev restart hub")
def restart(parts: Parts = None) -> None:
    """Down and up again, with the images and settings of now; data stay."""

    def again(federation: "Federation") -> None:
        federation.down(_parts(parts), data=False)
        federation.up(_parts(parts))

    _do(again)


@app.command(epilog="Example: flipctl dev networks")
def networks() -> None:
    """Make the network that hub and trusts share. `up` does so, too."""
    made = _do(lambda federation: federation.networks())
    console.print(f"made: {', '.join(made) or 'none, all were there'}")


@app.command(epilog="Example: flipctl dev debug Trust_2/trust-api")
def debug(
    service: Annotated[
        str | None, typer.Argument(help="Such as hub, fl-server, or trust-api of the first trust; Trust_2/trust-api.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every service of the parts that are up.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Run as usual again.")] = False,
) -> None:
    """Have a service wait for a debugger on 127.0.0.1:5678, with this checkout's code; the next one on 5679."""
    if every == (service is not None):
        fail("name a service, or --all", 2)
    try:
        named = None if service is None else [resolve(service)]
    except KeyError:
        known = ", ".join(f"{part}/{name}" for part in PARTS for name in services(part))
        fail(f"there is no service {service!r}; there are {known}", 2)

    def switch(federation: "Federation") -> dict[str, int]:
        there = [(part, name) for part in PARTS if federation.has(part) for name in services(part)]
        return federation.debug(there if named is None else named, on=not off)

    waiting = _do(switch)
    for name, port in waiting.items():
        console.print(f"{name} waits for a debugger on 127.0.0.1:{port} (services/ is /code there)")
    if not waiting:
        console.print("no service waits for a debugger")


@app.command("trust-keys", epilog="Example: flipctl dev trust-keys")
def trust_keys() -> None:
    """Give every trust that is up new keys at the hub, and end the old ones once the new ones are used."""
    console.print(
        f"new keys: {', '.join(_do(lambda federation: federation.renew_trust_keys())) or 'no trust is there'}"
    )


@app.command("internal-key", epilog="Example: flipctl dev internal-key")
def internal_key() -> None:
    """Give hub and FL server a new key for their talk with one another; a job that runs fails."""
    _do(lambda federation: federation.renew_internal_key())


def _parts(names: Sequence[str] | None) -> list[str]:
    wanted = {part for name in names or PARTS for part in (TRUSTS if name == "trusts" else (name,))}
    if unknown := wanted - set(PARTS):
        fail(
            f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}, and trusts for all trusts", 2
        )
    return [part for part in PARTS if part in wanted]


def _do(job: Callable[["Federation"], Any]) -> Any:
    # Imported here: the rest of flipctl works where the parts that make data are not installed.
    try:
        from flipctl.demo.progress import Progress  # noqa: PLC0415 - see above
        from flipctl.dev.federation import Federation  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        fail(f"this needs {error.name}, which is not installed here: make setup")
    release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    federation = Federation(ROOT / ".flip" / "dev", ROOT / "services", release, Progress())
    try:
        with federation.alone():
            return job(federation)
    except (DevError, ApiError, TimeoutError, httpx.HTTPError) as error:
        fail(str(error))

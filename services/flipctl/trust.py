"""`flipctl trust`: onboard a trust at the hub, and rotate its keys, through the hub's public API."""

import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from flipctl import envfile
from flipctl.api import Api, ApiError
from flipctl.output import JsonFlag, fail, print_json

app = typer.Typer(help="Onboard trusts and rotate their keys.", no_args_is_help=True)

HubUrl = Annotated[str, typer.Option(help="The hub's API URL; ends in /api.", envvar="CENTRAL_HUB_API_URL")]
Email = Annotated[str, typer.Option(help="An administrator's sign-in.")]
KitFile = Annotated[Path, typer.Option(help="Env file for the kit (mode 0600), to carry to the trust.")]
PASSWORD_VARIABLE = "FLIP_PASSWORD"  # noqa: S105 - the name of a variable, not a password


def _sign_in(hub: str, email: str) -> Api:
    if not hub.rstrip("/").endswith("/api"):
        fail(f"--hub {hub!r}: the hub's API URL ends in /api, such as https://hub.example.org/api")
    password = os.environ.get(PASSWORD_VARIABLE) or typer.prompt("Password", hide_input=True, err=True)
    return Api.sign_in(hub.rstrip("/"), email, password)


def _save(kit: dict[str, Any], hub: str, path: Path) -> None:
    envfile.update(
        path,
        {
            "CENTRAL_HUB_API_URL": hub.rstrip("/"),
            "TRUST_API_KEY_HEADER": kit["api_key_header"],
            "TRUST_API_KEY": kit["api_key"],
            "AES_KEY_BASE64": kit["aes_key_base64"],
            "EXPECTED_TRUST_ID": kit["trust_id"],
        },
    )


def _report(kit: dict[str, Any], path: Path, done: str, as_json: bool) -> None:
    shown = {"trust_id": kit["trust_id"], "trust_name": kit["trust_name"], "key_id": kit["key_id"], "kit": str(path)}
    if as_json:
        print_json(shown)
    else:
        typer.echo(f"{done}. Its kit is in {path}; carry that file to the trust and keep no copy.")


@app.command(
    epilog="Example: flipctl trust register Trust_3 --hub https://hub.example.org/api --email admin@example.org "
    "--kit trust_3.env"
)
def register(name: str, hub: HubUrl, email: Email, kit: KitFile, as_json: JsonFlag = False) -> None:
    """Register a trust and write its kit. The hub shows these secrets once.

    The password is asked for, or taken from FLIP_PASSWORD.
    """
    if kit.exists():
        fail(f"{kit} exists; name another file, so that no kit is lost")
    try:
        with _sign_in(hub, email) as api:
            answer = api.post("/trusts", {"name": name})
        _save(answer, hub, kit)
    except (ApiError, httpx.HTTPError, OSError) as error:
        fail(str(error))
    _report(answer, kit, f"{name} is registered with id {answer['trust_id']}", as_json)


@app.command(
    "rotate-key",
    epilog="Example: flipctl trust rotate-key Trust_3 --hub https://hub.example.org/api --email admin@example.org "
    "--kit trust_3.new.env",
)
def rotate_key(
    name: str,
    hub: HubUrl,
    email: Email,
    kit: KitFile,
    retire_old: Annotated[bool, typer.Option(help="End the older key now instead of making a new one.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Give a trust a second kit; the first stays valid until you run this again with --retire-old.

    Between the two runs both kits work, so the trust can change over without a gap.
    """
    if kit.exists() and not retire_old:
        fail(f"{kit} exists; name another file, so that no kit is lost")
    try:
        with _sign_in(hub, email) as api:
            found = [trust["trust_id"] for trust in api.get("/trusts") if trust["name"] == name]
            if not found:
                fail(f"the hub knows no trust {name!r}")
            if retire_old:
                _retire(api, found[0], name, as_json)
                return
            answer = api.post(f"/trusts/{found[0]}/keys")
        _save(answer, hub, kit)
    except (ApiError, httpx.HTTPError, OSError) as error:
        fail(str(error))
    _report(answer, kit, f"{name} has a second kit; both work until --retire-old", as_json)


def _retire(api: Api, trust_id: str, name: str, as_json: bool) -> None:
    live = [key for key in api.get(f"/trusts/{trust_id}/keys") if key["retired_at"] is None]
    live.sort(key=lambda key: str(key["created_at"]))
    if len(live) < 2:
        fail(f"{name} has one live key; give it a second one first, or it is locked out")
    old, new = live[0], live[-1]
    if new["first_used_at"] is None:
        fail(f"{name} has not used its new key yet; install the new kit there first")
    api.delete(f"/trusts/{trust_id}/keys/{old['key_id']}")
    if as_json:
        print_json({"trust_id": trust_id, "trust_name": name, "retired": old["key_id"], "live": new["key_id"]})
    else:
        typer.echo(f"{name}: the older key is retired; only the newer one works now")

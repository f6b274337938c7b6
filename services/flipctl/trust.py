"""`flipctl trust`: onboard trusts at the hub and rotate their keys, through the hub's public API."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flipctl import envfile
from flipctl.api import Api, HubCaFile
from flipctl.kit import KitError
from flipctl.kit.cli import PASSPHRASE_VARIABLE
from flipctl.kit.issue import Order, make, new_file, read_certificates
from flipctl.kit.keys import Recipient, recipient, signing_key
from flipctl.kit.model import Header, hub_variables
from flipctl.kit.signature import fingerprint
from flipctl.output import JsonFlag, fail, print_json
from flipctl.sign_in import HUB_ERRORS, HubUrl, sign_in, told

app = typer.Typer(help="Onboard trusts and rotate their keys.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The trust's name.")]
Email = Annotated[str, typer.Option(help="An administrator's sign-in.")]
KitFile = Annotated[Path, typer.Option(help="Env file for the kit (mode 0600), to carry to the trust.")]
To = Annotated[
    list[str] | None,
    typer.Option(help="Who can open it: an ssh-ed25519 or age1 public key, or a file with one; repeatable."),
]
Passphrase = Annotated[bool, typer.Option("--passphrase", help="Seal it with a passphrase instead of --to.")]
Out = Annotated[Path, typer.Option(help="The kit file, one that does not exist yet.")]
SigningKey = Annotated[Path, typer.Option(help="The hub's key for signing kits, made by: flipctl kit keygen.")]
FlServer = Annotated[str, typer.Option(help="The FL server as trusts dial it, host:port.")]
FlCa = Annotated[Path, typer.Option(help="CA certificate of the FL server (PEM).")]
HubCa = Annotated[
    Path | None, typer.Option(help="CA certificate of the hub (PEM) for the site, if it is private; trusted here, too.")
]
Via = Annotated[str | None, typer.Option(help="Where this machine reaches the hub's API, if not at --hub.")]
Days = Annotated[int, typer.Option(help="Days until the kit can no longer be opened.", min=1, max=365)]
MIN_PASSPHRASE_CHARS = 12


def _trust_id(api: Api, name: str) -> str:
    found = [trust["trust_id"] for trust in api.get("/trusts") if trust["name"] == name]
    if not found:
        fail(f"the hub knows no trust {name!r}")
    return str(found[0])


def _save(kit: dict[str, Any], hub: str, path: Path) -> None:
    hub = hub.rstrip("/")
    envfile.update(
        path, hub_variables(hub, kit["api_key_header"], kit["api_key"], kit["aes_key_base64"], kit["trust_id"])
    )


def _report(kit: dict[str, Any], path: Path, done: str, as_json: bool) -> None:
    shown = {"trust_id": kit["trust_id"], "trust_name": kit["trust_name"], "key_id": kit["key_id"], "kit": str(path)}
    if as_json:
        print_json(shown)
    else:
        typer.echo(f"{done}. Its kit is in {path}; carry that file to the trust and keep no copy.")


@app.command(
    epilog="Example: flipctl trust onboard Trust_3 --hub https://hub.example.org/api --email admin@example.org "
    "--to trust_3.pub --out Trust_3.flipkit --signing-key /opt/flip/secrets/kit-signing "
    "--fl-server fl.example.org:9092 --fl-ca ca.crt"
)
def onboard(
    name: Name,
    hub: HubUrl,
    email: Email,
    out: Out,
    signing_key: SigningKey,
    fl_server: FlServer,
    fl_ca: FlCa,
    to: To = None,
    passphrase: Passphrase = False,
    hub_ca: HubCa = None,
    ca: HubCaFile = None,
    via: Via = None,
    days: Days = 30,
    as_json: JsonFlag = False,
) -> None:
    """Register a trust and make its kit: one file, encrypted for the site's operator and signed.

    Signs in by FLIP_TOKEN (see flipctl sign-in) or FLIP_PASSWORD, or asks; a passphrase comes from FLIP_KIT_PASSPHRASE.
    """
    order = _order(name, hub, to, passphrase, signing_key, fl_server, fl_ca, hub_ca, days)
    _issue(order, via, ca or hub_ca, email, out, lambda api: api.post("/trusts", {"name": name}), as_json)


@app.command(
    epilog="Example: flipctl trust reissue Trust_3 --hub https://hub.example.org/api --email admin@example.org "
    "--to trust_3.pub --out Trust_3.2.flipkit --signing-key /opt/flip/secrets/kit-signing "
    "--fl-server fl.example.org:9092 --fl-ca ca.crt"
)
def reissue(
    name: Name,
    hub: HubUrl,
    email: Email,
    out: Out,
    signing_key: SigningKey,
    fl_server: FlServer,
    fl_ca: FlCa,
    to: To = None,
    passphrase: Passphrase = False,
    hub_ca: HubCa = None,
    ca: HubCaFile = None,
    via: Via = None,
    days: Days = 30,
    as_json: JsonFlag = False,
) -> None:
    """Make a new kit for a trust that is registered; the keys of its last one go on working until `retire`.

    No other trust is touched.
    """
    order = _order(name, hub, to, passphrase, signing_key, fl_server, fl_ca, hub_ca, days)
    _issue(order, via, ca or hub_ca, email, out, lambda api: api.post(f"/trusts/{_trust_id(api, name)}/keys"), as_json)


def _order(
    name: str,
    hub: str,
    to: list[str] | None,
    passphrase: bool,
    key: Path,
    fl_server: str,
    fl_ca: Path,
    hub_ca: Path | None,
    days: int,
) -> Order:
    if bool(to) == passphrase:
        fail("say who can open the kit: either --to with a public key, or --passphrase", 2)
    now = datetime.now(UTC)
    try:
        loaded = signing_key(key, _ask)
        sealed_for: list[Recipient] | str = [recipient(text) for text in to] if to else _new_passphrase()
        return Order(
            trust_name=name,
            hub=hub.rstrip("/"),
            fl_server=fl_server,
            fl_ca=read_certificates(fl_ca, now),
            hub_ca=read_certificates(hub_ca, now) if hub_ca else None,
            days=days,
            to=sealed_for,
            signing_key=loaded,
        )
    except KitError as error:
        fail(str(error))


def _ask(prompt: str) -> str:
    return str(typer.prompt(prompt, hide_input=True, err=True))


def _new_passphrase() -> str:
    asked = os.environ.get(PASSPHRASE_VARIABLE) or typer.prompt(
        "Passphrase for the kit", hide_input=True, confirmation_prompt=True, err=True
    )
    if len(asked) < MIN_PASSPHRASE_CHARS:
        raise KitError(f"the passphrase has {len(asked)} characters; use at least {MIN_PASSPHRASE_CHARS}")
    return str(asked)


def _issue(
    order: Order,
    via: str | None,
    ca: Path | None,
    email: str,
    out: Path,
    ask_hub: Callable[[Api], dict[str, Any]],
    as_json: bool,
) -> None:
    address, option = (via, "--via") if via else (order.hub, "--hub")
    issued = False
    try:
        with new_file(out) as write:
            with sign_in(address, email, ca, option) as api:
                answer = ask_hub(api)
                issued = True
                # Every key the hub ever gave this trust, oldest first: its place is the kit's serial.
                keys = [key["key_id"] for key in api.get(f"/trusts/{answer['trust_id']}/keys")]
            header, content = make(order, answer, keys.index(answer["key_id"]) + 1)
            write(content)
    except (*HUB_ERRORS, OSError, ValueError) as error:
        remedy = ""
        if issued:
            remedy = (
                f"; the hub has made keys, but no kit was written: flipctl trust retire {order.trust_name} --unused"
            )
            remedy += f" ends them, flipctl trust reissue {order.trust_name} makes a new kit"
        elif "trust_exists" in str(error):
            remedy = f"; for a new kit: flipctl trust reissue {order.trust_name}"
        elif "too_many_keys" in str(error):
            remedy = f": flipctl trust retire {order.trust_name}, with --unused if a kit was lost"
        fail(f"{told(error, address)}{remedy}")
    _report_kit(header, fingerprint(order.signing_key.public_key().public_bytes_raw()), out, as_json)


def _report_kit(header: Header, signed_by: str, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({**json.loads(header.model_dump_json()), "signed_by": signed_by, "kit": str(out)})
        return
    typer.echo(f"{out} is the kit of {header.trust_name} (serial {header.serial}), until {header.expires_at:%Y-%m-%d}.")
    typer.echo(f"Send it to the site. By another way, such as the telephone, tell the fingerprint:\n  {signed_by}")


@app.command(epilog="Example: flipctl trust retire Trust_3 --hub https://hub.example.org/api --email admin@example.org")
def retire(
    name: Name,
    hub: HubUrl,
    email: Email,
    unused: Annotated[bool, typer.Option("--unused", help="End keys no call was made with: a kit was lost.")] = False,
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """End a trust's older key, once the newer one has been used; or with --unused the keys of kits that got lost."""
    try:
        with sign_in(hub, email, ca) as api:
            trust_id = _trust_id(api, name)
            if unused:
                _retire_unused(api, trust_id, name, as_json)
            else:
                _retire(api, trust_id, name, as_json)
    except HUB_ERRORS as error:
        fail(told(error, hub))


@app.command(
    epilog="Example: flipctl trust register Trust_3 --hub https://hub.example.org/api --email admin@example.org "
    "--kit trust_3.env"
)
def register(
    name: str, hub: HubUrl, email: Email, kit: KitFile, ca: HubCaFile = None, as_json: JsonFlag = False
) -> None:
    """Register a trust and write its keys as they are, for a site on this machine. For others: onboard.

    Signs in by FLIP_TOKEN (see flipctl sign-in) or FLIP_PASSWORD, or asks.
    """
    if kit.exists():
        fail(f"{kit} exists; name another file, so that no kit is lost")
    try:
        with sign_in(hub, email, ca) as api:
            answer = api.post("/trusts", {"name": name})
        _save(answer, hub, kit)
    except (*HUB_ERRORS, OSError) as error:
        fail(told(error, hub))
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
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Give a trust second keys, as `register` does; the first stay valid until you run this again with --retire-old.

    Between the two runs both kits work, so the trust can change over without a gap.
    """
    if kit.exists() and not retire_old:
        fail(f"{kit} exists; name another file, so that no kit is lost")
    try:
        with sign_in(hub, email, ca) as api:
            trust_id = _trust_id(api, name)
            if retire_old:
                _retire(api, trust_id, name, as_json)
                return
            answer = api.post(f"/trusts/{trust_id}/keys")
        _save(answer, hub, kit)
    except (*HUB_ERRORS, OSError) as error:
        fail(told(error, hub))
    _report(answer, kit, f"{name} has a second kit; both work until --retire-old", as_json)


def _live_keys(api: Api, trust_id: str) -> list[dict[str, Any]]:
    live = [key for key in api.get(f"/trusts/{trust_id}/keys") if key["retired_at"] is None]
    return sorted(live, key=lambda key: str(key["created_at"]))


def _retire(api: Api, trust_id: str, name: str, as_json: bool) -> None:
    live = _live_keys(api, trust_id)
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


def _retire_unused(api: Api, trust_id: str, name: str, as_json: bool) -> None:
    live = _live_keys(api, trust_id)
    unused = [key["key_id"] for key in live if key["first_used_at"] is None]
    if not unused:
        fail(f"every live key of {name} has been used; end one that leaked at the hub's API, or reissue and retire")
    for key_id in unused:
        api.delete(f"/trusts/{trust_id}/keys/{key_id}")
    if as_json:
        left = [key["key_id"] for key in live if key["key_id"] not in unused]
        print_json({"trust_id": trust_id, "trust_name": name, "retired": unused, "live": left})
    else:
        typer.echo(f"{name}: {len(unused)} unused keys are retired; their kits open nothing at the hub any more")

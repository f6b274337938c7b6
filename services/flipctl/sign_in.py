"""`flipctl sign-in`, and how every verb that calls the hub signs in."""

import os
from pathlib import Path
from typing import Annotated

import httpx
import typer

from flipctl import browser
from flipctl.api import Api, ApiError, HubCaFile, hub_tls
from flipctl.kit import KitError
from flipctl.kit.issue import check
from flipctl.output import JsonFlag, fail, print_json

TOKEN_VARIABLE = "FLIP_TOKEN"  # noqa: S105 - the name of a variable, not a token
ID_TOKEN_VARIABLE = "FLIP_ID_TOKEN"  # noqa: S105 - likewise
PASSWORD_VARIABLE = "FLIP_PASSWORD"  # noqa: S105 - likewise
HUB_ERRORS = (ApiError, KitError, httpx.HTTPError, httpx.InvalidURL)
HubUrl = Annotated[str, typer.Option(help="The hub's API URL; ends in /api.", envvar="CENTRAL_HUB_API_URL")]
EXAMPLE = 'Example: export FLIP_TOKEN="$(flipctl sign-in --hub https://hub.example.org/api --email you@example.org)"'


def sign_in(hub: str, email: str, ca: Path | None, option: str = "--hub") -> Api:
    """The session of FLIP_TOKEN, else a new one.

    Raises:
        KitError: no address of a hub.
        ApiError: the hub or its identity provider refused.
        httpx.HTTPError: it cannot be reached.
    """
    if token := os.environ.get(TOKEN_VARIABLE):
        check(option, hub.rstrip("/"))
        try:
            return Api(hub.rstrip("/"), token, ca).of(email, TOKEN_VARIABLE)
        except ApiError as error:
            raise ApiError(f"{error}; for a new {TOKEN_VARIABLE}: flipctl sign-in") from None
    return new_session(hub, email, ca, option)


def new_session(hub: str, email: str, ca: Path | None, option: str = "--hub") -> Api:
    """One by the ID token of FLIP_ID_TOKEN, by the password of FLIP_PASSWORD, or by asking. Raises as `sign_in`."""
    hub = hub.rstrip("/")
    check(option, hub)
    hub_tls(ca)  # before anybody is asked for a password
    if id_token := os.environ.get(ID_TOKEN_VARIABLE):
        return Api.sign_in_by_token(hub, email, id_token, ca)
    if password := os.environ.get(PASSWORD_VARIABLE):
        return Api.sign_in(hub, email, password, ca)
    return _ask(hub, email, ca)


def _ask(hub: str, email: str, ca: Path | None) -> Api:
    with Api(hub, ca=ca) as stranger:
        provider = stranger.get("/auth/methods")["oidc"]
    if provider is None:
        return Api.sign_in(hub, email, typer.prompt("Password", hide_input=True, err=True), ca)
    plain_http = hub.startswith("http:")
    id_token = browser.new_id_token(provider["issuer"], provider["client_id"], email, _show, plain_http=plain_http)
    return Api.sign_in_by_token(hub, email, id_token, ca)


def _show(url: str) -> None:
    lines = (
        "Sign in in the browser; if none opens, open:",
        f"  {url}",
        f"On another machine than this one, first: ssh -L {browser.PORT}:localhost:{browser.PORT} THIS-MACHINE",
    )
    typer.echo("\n".join(lines), err=True)


def told(error: Exception, hub: str) -> str:
    """A failure to talk to the hub, in words, with the remedy."""
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
        return f"{hub} cannot be reached ({error}); look what is wrong: flipctl doctor --hub {hub}"
    return str(error)


def sign_in_verb(
    hub: HubUrl,
    email: Annotated[str, typer.Option(help="Your e-mail address.")],
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign in at the hub and print the session's token, for FLIP_TOKEN and for programs that call the hub's API.

    At a hub with an identity provider the browser opens; else the password is asked for, or taken from FLIP_PASSWORD.
    """
    try:
        with new_session(hub, email, ca) as api:
            token = api.http.headers["Authorization"].removeprefix("Bearer ")
    except HUB_ERRORS as error:
        fail(told(error, hub))
    if as_json:
        print_json({"token": token})
    else:
        typer.echo(token)

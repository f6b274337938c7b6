"""docs/api.md names every route of every application, and none that does not exist."""

import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from flip_fl.app import create_app as fl_app
from flip_fl.backend import Backend
from flip_hub.app import create_app as hub_app
from flip_hub.app import create_internal_app
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_trust.api.app import create_app as trust_app
from flip_trust.api.poller import Poller
from flip_trust.api.settings import TrustApiSettings
from flip_trust.data_access.app import create_app as data_access_app
from flip_trust.data_access.settings import DataAccessSettings
from flip_trust.imaging.app import create_app as imaging_app
from flip_trust.imaging.settings import ImagingSettings, StoreKind

KEY = "key-of-the-documentation"
URL = "postgresql://reader:none@127.0.0.1/none"
METHODS = ("get", "post", "put", "patch", "delete")


# Routes depend on settings alone: none of these is opened, so there is no database, hub or backend behind them.
def _hub() -> FastAPI:
    return hub_app(cast(Hub, None))


def _internal() -> FastAPI:
    settings = SimpleNamespace(
        internal_service_key_header=HubSettings.model_fields["internal_service_key_header"].default,
        internal_service_key_hash="0" * 64,
    )
    return create_internal_app(cast(Hub, SimpleNamespace(settings=settings)))


def _fl() -> FastAPI:
    return fl_app(cast(Backend, None), KEY, 1000)


def _trust() -> FastAPI:
    settings = TrustApiSettings.model_construct(
        trust_internal_service_key=SecretStr(KEY), trust_internal_service_key_header="K"
    )
    app = trust_app(settings, cast(Poller, None))
    # The catch-all that refuses every other path is no route to document.
    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/{path:path}"]
    return app


def _data_access() -> FastAPI:
    return data_access_app(
        DataAccessSettings.model_validate(
            {
                "data_access_database_url": URL,
                "data_access_owner_database_url": URL,
                "trust_internal_service_key": KEY,
            }
        )
    )


def _imaging() -> FastAPI:
    settings = ImagingSettings.model_construct(
        imaging_store=StoreKind.FOLDER, trust_internal_service_key=SecretStr(KEY), trust_internal_service_key_header="K"
    )
    return imaging_app(settings)


APPS = {
    "## Hub, public": _hub,
    "## Hub, for trusts": _hub,
    "## Hub, internal": _internal,
    "## FL API": _fl,
    "## trust-api": _trust,
    "## data-access-api": _data_access,
    "## imaging-api": _imaging,
}


@cache
def _routes(make: Callable[[], FastAPI]) -> frozenset[str]:
    app = make()
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return frozenset(f"{method.upper()} {path}" for path, item in paths.items() for method in METHODS if method in item)


def _of(heading: str, routes: frozenset[str]) -> frozenset[str]:
    """The hub's public application is two sections: a trust's routes, and everybody else's."""
    if APPS[heading] is not _hub:
        return routes
    return frozenset(route for route in routes if (" /api/trust/" in route) == (heading == "## Hub, for trusts"))


@pytest.mark.parametrize("heading", APPS)
def test_every_route_stands_and_no_other(api_page: Any, heading: str) -> None:
    real = _of(heading, _routes(APPS[heading]))
    assert real, "the application has no routes: the test cannot fail"
    documented = [row[0].strip("`") for row in api_page.rows(heading)]
    assert sorted(documented) == sorted(real)


@pytest.mark.parametrize("heading", APPS)
def test_every_route_says_who_may_call_it(api_page: Any, heading: str) -> None:
    assert not [row[0] for row in api_page.rows(heading) if len(row) != 3 or not row[1] or not row[2]]


def test_paths_in_examples_exist(every_page: Any) -> None:
    """`hub.get("/projects")` and `$HUB/projects` in a page's code name routes of the hub."""
    known = _routes(_hub)
    calls = re.findall(r'\.(get|post|put|patch|delete)\(f?"(/[^"]*)"', every_page.code)
    calls += [("", path) for path in re.findall(r"\$HUB(/[^\s\"'?]*)", every_page.code)]
    for method, path in calls:
        example = re.sub(r"\{[^}]*\}|\$\w+", str(uuid4()), path.split("?")[0])
        fits = [route for route in known if _matches(route, method.upper(), f"/api{example}")]
        assert fits, f"{every_page.path.name}: no route for {method.upper()} {path}"


def _matches(route: str, method: str, path: str) -> bool:
    verb, _, template = route.partition(" ")
    return method in ("", verb) and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) is not None

"""Every route of users, trusts, tasks and audit, and who may not call it."""

from uuid import UUID, uuid4

import pytest

from flip_common.wire import Role
from flip_hub.app import create_app

ANYONE = frozenset({"anonymous", "VIEWER", "RESEARCHER", "TRUST_OWNER of another", "ADMIN", "trust"})
SIGNED_IN = ANYONE - {"anonymous", "trust"}
ADMIN = frozenset({"ADMIN"})
TRUST = frozenset({"trust"})
REFUSED_ALWAYS = ("retired key", "disabled trust", "disabled user", "key as bearer", "token as key")

BEAT = {"release": "1", "sent_at": "2026-01-31T12:00:00Z"}
FAILED = {"attempt": 1, "outcome": "FAILED", "error": {"code": "x"}}
FL_KEY = {"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLl4V7Yb6vN7Hsc2s7mTZ0aQbTHUb5d1qVhGZcJxk0x"}
NEW_PASSWORD = {"current_password": "wrong horse battery", "new_password": "a new horse battery"}
USER = {"email": "new@example.org", "password": "correct horse battery", "roles": ["VIEWER"]}

# method, path, body: who gets past the door (what happens behind it is tested elsewhere)
ROUTES = {
    ("GET", "/api/health", None): ANYONE,
    ("GET", "/api/auth/methods", None): ANYONE,
    ("POST", "/api/auth/sign-in", ""): ANYONE,
    ("POST", "/api/auth/oidc", "token"): ANYONE,
    ("POST", "/api/auth/sign-out", None): SIGNED_IN,
    ("GET", "/api/auth/me", None): SIGNED_IN,
    ("POST", "/api/auth/password", "new_password"): SIGNED_IN,
    ("GET", "/api/users", None): ADMIN,
    ("POST", "/api/users", "user"): ADMIN,
    ("GET", "/api/users/{user_id}", None): ADMIN,
    ("PATCH", "/api/users/{user_id}", "nothing"): ADMIN,
    ("GET", "/api/users/{user_id}/profiles", None): ADMIN,
    ("GET", "/api/trusts", None): SIGNED_IN,
    ("POST", "/api/trusts", "trust"): ADMIN,
    ("GET", "/api/trusts/{trust_id}", None): SIGNED_IN,
    ("PATCH", "/api/trusts/{trust_id}", "enabled"): ADMIN,
    ("GET", "/api/trusts/{trust_id}/keys", None): ADMIN,
    ("POST", "/api/trusts/{trust_id}/keys", None): ADMIN,
    ("DELETE", "/api/trusts/{trust_id}/keys/{key_id}", None): ADMIN,
    ("GET", "/api/trusts/{trust_id}/tasks", None): ADMIN,
    ("POST", "/api/trust/heartbeat", "beat"): TRUST,
    ("PUT", "/api/trust/fl-key", "fl_key"): TRUST,
    ("POST", "/api/trust/tasks/lease", "nothing"): TRUST,
    ("POST", "/api/trust/tasks/{task_id}/renew", "attempt"): TRUST,
    ("POST", "/api/trust/tasks/{task_id}/result", "failed"): TRUST,
    ("GET", "/api/audit", None): ADMIN,
}
BODIES = {
    None: None,
    "": {"email": "nobody@example.org", "password": "x"},
    "nothing": {},
    "token": {},
    "new_password": NEW_PASSWORD,
    "user": USER,
    "trust": {"name": "New"},
    "enabled": {"enabled": True},
    "beat": BEAT,
    "fl_key": FL_KEY,
    "attempt": {"attempt": 1},
    "failed": FAILED,
}
OURS = ("/api/health", "/api/auth", "/api/users", "/api/trusts", "/api/trust/", "/api/audit")


def test_no_route_is_missing_here(public_app):
    paths = public_app.openapi()["paths"]
    served = {(method.upper(), path) for path, item in paths.items() for method in item if path.startswith(OURS)}
    assert served == {(method, path) for method, path, _ in ROUTES}


async def test_every_other_route_of_the_public_api_needs_somebody(public_app, client):
    """Whatever is added later: without a token or a key nothing else answers (the lease looks at its body first)."""
    ids = {"model_id": uuid4(), "project_id": uuid4(), "trust_id": uuid4(), "user_id": uuid4()}
    open_to_all = []
    for path, item in public_app.openapi()["paths"].items():
        names = {name: ids.get(name, uuid4()) for name in _placeholders(path)}
        for method in item:
            answer = await client.request(method, path.format(**names))
            if answer.status_code != 401:
                open_to_all.append((method, path, answer.status_code))
    known = {"/api/health", "/api/auth/methods", "/api/auth/sign-in", "/api/auth/oidc", "/api/trust/tasks/lease"}
    assert [entry for entry in open_to_all if entry[1] not in known] == []


@pytest.fixture
async def callers(register_trust, sign_in_as, hub):
    trust, retired, disabled = [await register_trust(name) for name in ("A", "Retired", "Disabled")]
    other = await register_trust("Other")
    admin = await sign_in_as(Role.ADMIN)
    await admin.client.delete(f"/api/trusts/{retired.trust_id}/keys/{retired.key_id}")
    await admin.client.patch(f"/api/trusts/{disabled.trust_id}", json={"enabled": False})
    gone = await sign_in_as(Role.ADMIN)
    await admin.client.patch(f"/api/users/{gone.user_id}", json={"enabled": False})
    ((header, key),) = trust.headers.items()
    return {
        "anonymous": {},
        "VIEWER": (await sign_in_as(Role.VIEWER)).headers,
        "RESEARCHER": (await sign_in_as(Role.RESEARCHER)).headers,
        "TRUST_OWNER of another": (await sign_in_as(Role.TRUST_OWNER, trust_ids=[other.trust_id])).headers,
        "ADMIN": admin.headers,
        "trust": trust.headers,
        "retired key": retired.headers,
        "disabled trust": disabled.headers,
        "disabled user": gone.headers,
        "key as bearer": {"Authorization": f"Bearer {key}"},
        "token as key": {header: admin.token},
    }, trust


async def test_who_may_not_call_what(client, callers):
    headers_of, trust = callers
    wrong = []
    for (method, path, body), allowed in ROUTES.items():
        for caller, headers in headers_of.items():
            if path.endswith("sign-out") and caller in allowed:
                continue  # they would be signed out for the routes that follow; see test_hub_sign_in
            names = {"trust_id": trust.trust_id, "key_id": uuid4(), "user_id": uuid4(), "task_id": uuid4()}
            answer = await client.request(method, path.format(**names), headers=headers, json=BODIES[body])
            # At the door: 401, or 403 saying that the caller as such may not. Behind it anything else.
            refused = answer.status_code in (401, 403) and answer.json()["code"] not in (
                "wrong_credentials",
                "wrong_password",
            )
            let_in = caller in allowed or (allowed == ANYONE and caller in REFUSED_ALWAYS)
            if refused == let_in:
                wrong.append(f"{caller}: {method} {path} -> {answer.status_code} {answer.text[:120]}")
    assert wrong == []


async def test_an_owner_sees_the_keys_of_the_own_trust_only(register_trust, sign_in_as):
    mine, other = await register_trust("A"), await register_trust("B")
    owner = await sign_in_as(Role.TRUST_OWNER, trust_ids=[mine.trust_id])
    seen = (await owner.client.get(f"/api/trusts/{mine.trust_id}/keys")).json()
    assert [UUID(key["key_id"]) for key in seen] == [mine.key_id]
    assert (await owner.client.get(f"/api/trusts/{other.trust_id}/keys")).status_code == 403


def test_the_internal_api_is_another_application(hub):
    assert not any("internal" in path for path in create_app(hub).openapi()["paths"])


def _placeholders(path):
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]

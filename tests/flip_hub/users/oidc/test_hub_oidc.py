"""Sign-in by an identity provider: what a token must say, and what it opens."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import pytest
from hub_world import ok, problem
from joserfc import jws, jwt
from joserfc.jwk import RSAKey
from oidc_issuer import CLIENT, DISCOVERY, KEYS
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from flip_common.settings import SettingsError
from flip_common.wire import Role
from flip_hub.__main__ import app
from flip_hub.db import utcnow
from flip_hub.settings import HubSettings
from flip_hub.users.tables import SignInFailure, UsedIdToken
from flip_hub.users.throttle import MAX_PER_ADDRESS

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join((*parts, signature))


async def audit(sign_in_as, action):
    admin = await sign_in_as(Role.ADMIN)
    return ok(await admin.client.get("/api/audit", params={"action": action}))["events"]


async def test_an_id_token_opens_a_session_like_a_password(ada, sign_in, issuer, client, hub, sign_in_as):
    signed_in = ok(await sign_in(issuer.token(" Ada@Example.org".strip(), sub="subject-1")))
    assert sorted(signed_in) == ["expires_at", "token"]
    headers = {"Authorization": f"Bearer {signed_in['token']}"}
    answer = ok(await client.get("/api/auth/me", headers=headers))
    assert (answer["user_id"], answer["roles"]) == (str(ada.user_id), ["RESEARCHER"]), "roles are the hub's"
    ok(await client.post("/api/auth/sign-out", headers=headers), 204)
    [entry] = await audit(sign_in_as, "user.sign_in")
    assert (entry["actor"], entry["entity_id"]) == (EMAIL, str(ada.user_id))
    assert entry["after"] == {"by": "oidc", "subject": "subject-1"}
    assert issuer.asked == [DISCOVERY, KEYS]
    async with hub.db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(SignInFailure)) == 0, "it counts as no failure"


async def test_a_password_still_signs_in_beside(ada, client):
    ok(await client.post("/api/auth/sign-in", json={"email": EMAIL, "password": PASSWORD}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "another"}, "it is for another client"),
        ({"aud": None}, "it is for another client"),
        ({"aud": [CLIENT, "another"]}, "it is for another client"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "it is for another client"),
        ({"azp": "another"}, "it is for another client"),
        ({"iss": "https://login.example.org/pool"}, "it is of another issuer"),
        ({"iss": None}, "it is of another issuer"),
        ({"exp": -61}, "it has expired"),
        ({"exp": None}, "it does not say when it was issued and ends"),
        ({"iat": None}, "it does not say when it was issued and ends"),
        ({"exp": "soon"}, "its exp is no time"),
        ({"exp": True}, "its exp is no time"),
        ({"exp": 10**400}, "its exp is no time"),
        ({"iat": 65}, "it is from the future"),
        ({"nbf": 65}, "it is from the future"),
        ({"iat": -361}, "it was issued too long ago"),
        ({"token_use": "access"}, "it is no ID token"),
        ({"email": None}, "its email is missing, or no text to work with"),
        ({"email": ["ada@example.org"]}, "its email is missing, or no text to work with"),
        ({"email": "ada\0@example.org"}, "its email is missing, or no text to work with"),
        ({"email": "\ud800@example.org"}, "its email is missing, or no text to work with"),
        ({"email": "a" * 321}, "its email is missing, or no text to work with"),
        ({"email": "\N{KELVIN SIGN}ate@example.org"}, "its email has a letter that becomes another one in lower case"),
        ({"sub": None}, "its sub is missing, or no text to work with"),
        ({"email_verified": False}, "its e-mail address is not verified"),
        ({"email_verified": "true"}, "its e-mail address is not verified"),
        ({"email_verified": None}, "its e-mail address is not verified"),
        ({"email": "nobody@example.org"}, "no user has its e-mail address"),
    ],
)
async def test_what_a_token_must_say(ada, refused, issuer, changes, reason):
    now = int(time.time())
    for name in ("exp", "iat", "nbf"):
        if isinstance(changes.get(name), int) and abs(changes[name]) < 10**9 and changes[name] is not True:
            changes = {**changes, name: now + changes[name]}
    claims = {**issuer.claims(EMAIL), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    key = issuer.keys[0]
    token = jws.serialize_compact({"alg": "RS256", "kid": key.kid}, json.dumps(claims).encode(), key)
    await refused(token, reason)


async def test_clocks_may_be_a_minute_apart_and_several_audiences_name_the_party(ada, sign_in, issuer):
    now = int(time.time())
    for changes in (
        {"exp": now - 50, "iat": now - 100},
        {"iat": now + 50, "nbf": now + 50},
        {"iat": now - 350},
        {"token_use": None},
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
    ):
        ok(await sign_in(issuer.token(EMAIL, **changes)))


async def test_only_signatures_of_the_issuer_count(ada, refused, sign_in, issuer):
    key = issuer.keys[0]
    claims = issuer.claims(EMAIL)
    good = issuer.token(EMAIL)
    signed, _, signature = good.rpartition(".")
    header = {"kid": key.kid, "alg": "RS256"}
    await refused(unsigned({"alg": "none", "kid": key.kid}, claims), "its algorithm is not allowed")
    unfinished = unsigned({"alg": "HS256", "kid": key.kid}, claims).removesuffix(".")
    code = hmac.digest(key.as_pem(private=False), unfinished.encode(), "sha256")
    mac = f"{unfinished}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"
    await refused(mac, "its algorithm is not allowed")
    for algorithm in ("RS384", "PS256", ["RS256"], None, 7):
        await refused(unsigned({**header, "alg": algorithm}, claims, signature), "its algorithm is not allowed")
    await refused(unsigned({**header, "alg": "ES256"}, claims, signature), "its key is none of the issuer's")
    await refused(unsigned(header, claims, signature), "its signature is wrong")
    await refused(f"{signed}.", "its signature is wrong")
    foreign = RSAKey.generate_key(2048, {"kid": key.kid})
    await refused(issuer.token(EMAIL, key=foreign), "its signature is wrong")
    theirs = {"jwk": foreign.as_dict(private=False), "kid": key.kid}
    embedded = jwt.encode({"alg": "RS256", **theirs}, claims, foreign)
    await refused(embedded, "its signature is wrong")
    await refused(issuer.token(EMAIL, header={"typ": "at+jwt"}), "it is another type of token")
    crit = jws.serialize_compact(
        {**header, "crit": ["b64"], "b64": False}, json.dumps(claims).encode(), key, algorithms=["RS256"]
    )
    assert (await sign_in(crit)).status_code == 401
    for kid in (None, 5, "k" * 300):
        await refused(unsigned({"alg": "RS256", "kid": kid}, claims, signature), "it names no key")
    for text in ("x", "a.b", "a.b.c", f"{good}.{good}", "é.é.é", f"{unsigned([], {})}", f"{unsigned({}, [])}"):
        await refused(text, "it is no signed token")
    deep = base64.urlsafe_b64encode(b"[" * 12_000).decode().rstrip("=")[:16_000]
    await refused(f"{deep}.e30.x", "it is no signed token")
    ok(await sign_in(good))


async def test_a_huge_token_is_looked_at_by_nobody(ada, sign_in, issuer):
    answer = problem(await sign_in(issuer.token(EMAIL, note="x" * 16_000)), 422, "invalid_request")
    assert "16384" in answer["detail"]
    assert issuer.asked == []


async def test_a_token_signs_in_once_however_its_signature_is_written(ada, refused, sign_in, issuer, hub, sign_in_as):
    key = issuer.add_key("ec-1", "EC")
    token = issuer.token(EMAIL, key=key)
    ok(await sign_in(token))
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    other = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    twin = f"{signed}.{base64.urlsafe_b64encode(other).decode().rstrip('=')}"
    for again in (token, twin):
        await refused(again, "it has signed in before")
    entries = await audit(sign_in_as, "user.sign_in_refused")
    assert [entry["after"]["reason"] for entry in entries] == ["it has signed in before"] * 2
    async with hub.db.transaction() as session:
        await session.execute(update(UsedIdToken).values(expires_at=utcnow()))
    ok(await sign_in(issuer.token(EMAIL, key=key)))
    async with hub.db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(UsedIdToken)) == 1, "old ones are cleared out"


async def test_of_one_token_many_times_at_once_one_signs_in(ada, sign_in, issuer):
    token = issuer.token(EMAIL)
    answers = await asyncio.gather(*(sign_in(token) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_a_disabled_user_looks_like_none_and_the_audit_tells_them_apart(ada, refused, issuer, sign_in_as):
    admin = await sign_in_as(Role.ADMIN, email="admin@example.org")
    ok(await admin.client.patch(f"/api/users/{ada.user_id}", json={"enabled": False}))
    seen = [
        await refused(issuer.token(EMAIL), "its user is disabled"),
        await refused(issuer.token("nobody@example.org"), "no user has its e-mail address"),
        await refused(issuer.token(EMAIL, aud="another"), "it is for another client"),
    ]
    assert seen[0] == seen[1] == seen[2]
    entries = ok(await admin.client.get("/api/audit", params={"action": "user.sign_in_refused"}))["events"]
    assert [(entry["actor"], entry["entity_id"], entry["after"]["reason"]) for entry in entries] == [
        ("oidc:nobody@example.org", "nobody@example.org", "no user has its e-mail address"),
        (f"oidc:{EMAIL}", str(ada.user_id), "its user is disabled"),
    ], "what the issuer did not sign leaves no trace in the trail"


async def test_failures_count_against_the_address_and_lock_nobody_else_out(ada, sign_in, issuer, client):
    for number in range(MAX_PER_ADDRESS):
        assert (await sign_in(issuer.token(EMAIL, aud=f"another-{number}"))).status_code == 401
    problem(await sign_in(issuer.token(EMAIL)), 429, "too_many_attempts")


async def test_failures_by_token_do_not_lock_the_named_user_out(ada, sign_in, issuer, client):
    for number in range(12):
        assert (await sign_in(issuer.token(EMAIL, aud=f"another-{number}"))).status_code == 401
    ok(await client.post("/api/auth/sign-in", json={"email": EMAIL, "password": PASSWORD}))
    ok(await sign_in(issuer.token(EMAIL)))


class TestWithoutLocalPasswords:
    @pytest.fixture
    def local_passwords(self) -> bool:
        return False

    async def test_only_the_issuer_signs_in(self, ada, client, sign_in, issuer):
        answer = await client.post("/api/auth/sign-in", json={"email": EMAIL, "password": PASSWORD})
        assert issuer.url in problem(answer, 403, "local_passwords_off")["detail"]
        body = {"current_password": PASSWORD, "new_password": "a new horse battery"}
        problem(await ada.client.post("/api/auth/password", json=body), 403, "local_passwords_off")
        ok(await sign_in(issuer.token(EMAIL)))

    async def test_administrators_make_users_without_a_password(self, client, sign_in, sign_in_as, issuer):
        admin = await sign_in_as(Role.ADMIN)
        ok(await admin.client.post("/api/users", json={"email": "eve@example.org", "roles": ["VIEWER"]}), 201)
        ok(await sign_in(issuer.token("eve@example.org")))

    async def test_the_first_administrator_is_made_as_ever(self, write_env, pg_url, sign_in, issuer):
        env_file = write_env(
            database_url=pg_url,
            hub_oidc_issuer=issuer.url,
            hub_oidc_client_id=CLIENT,
            hub_local_passwords="false",
        )
        arguments = ["create-admin", "--email", "root@example.org", "--env-file", str(env_file)]
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, PASSWORD + "\n")
        assert done.exit_code == 0, done.output
        ok(await sign_in(issuer.token("root@example.org")))


class TestWithoutIssuer:
    @pytest.fixture
    def settings_changes(self) -> dict[str, Any]:
        return {}

    async def test_a_token_signs_nobody_in(self, ada, sign_in, issuer):
        problem(await sign_in(issuer.token(EMAIL)), 403, "oidc_off")

    async def test_a_user_without_password_cannot_sign_in_until_one_is_set(self, client, sign_in_as):
        admin = await sign_in_as(Role.ADMIN)
        made = ok(await admin.client.post("/api/users", json={"email": "eve@example.org", "roles": ["VIEWER"]}), 201)
        body = {"email": "eve@example.org", "password": PASSWORD}
        problem(await client.post("/api/auth/sign-in", json=body), 401, "wrong_credentials")
        ok(await admin.client.patch(f"/api/users/{made['user_id']}", json={"password": PASSWORD}))
        ok(await client.post("/api/auth/sign-in", json=body))


GOOD = {"HUB_OIDC_ISSUER": "https://cognito-idp.eu-west-2.amazonaws.com/eu-west-2_AbC", "HUB_OIDC_CLIENT_ID": "c"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"HUB_OIDC_ISSUER": "http://127.0.0.1:8080/pool"}, ""),
        ({"HUB_OIDC_ISSUER": "http://localhost/pool"}, ""),
        ({"HUB_LOCAL_PASSWORDS": "false"}, ""),
        (
            {"HUB_OIDC_ISSUER": "http://login.example.org"},
            "HUB_OIDC_ISSUER: Value error, write the issuer's address with",
        ),
        ({"HUB_OIDC_ISSUER": "login.example.org"}, "with https://"),
        ({"HUB_OIDC_ISSUER": "https:///pool"}, "with https://"),
        ({"HUB_OIDC_ISSUER": "https://a:b@login.example.org"}, "has no user"),
        ({"HUB_OIDC_ISSUER": "https://login.example.org/?a=b"}, "has no user"),
        ({"HUB_OIDC_ISSUER": ""}, "go together"),
        ({"HUB_OIDC_CLIENT_ID": ""}, "go together"),
        ({"HUB_OIDC_ISSUER": "", "HUB_OIDC_CLIENT_ID": "", "HUB_LOCAL_PASSWORDS": "false"}, "nobody could sign in"),
    ],
)
def test_settings(write_env, changes, told):
    env_file = write_env(**{name.lower(): value for name, value in {**GOOD, **changes}.items()})
    try:
        HubSettings.load(env_file)
        problem = ""
    except SettingsError as error:
        problem = str(error)
    assert (told in problem) if told else problem == ""

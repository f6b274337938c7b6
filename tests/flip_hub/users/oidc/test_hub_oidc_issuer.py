"""The identity provider itself: its keys, and what becomes of sign-ins while it cannot be used."""

import asyncio
import logging
import time

import pytest
from hub_world import ok, problem
from joserfc.jwk import ECKey, RSAKey
from oidc_issuer import DISCOVERY, KEYS
from sqlalchemy import func, select

from flip_hub.users import issuer as issuers
from flip_hub.users.tables import SignInFailure

EMAIL = "ada@example.org"


async def test_a_new_key_counts_and_a_withdrawn_one_does_not(ada, sign_in, refused, issuer, hub, monkeypatch):
    first = issuer.keys[0]
    ok(await sign_in(issuer.token(EMAIL)))
    issuer.keys.clear()
    second = issuer.add_key("rsa-2")
    await refused(issuer.token(EMAIL, key=second), "its key is none of the issuer's")  # asked moments ago
    monkeypatch.setattr(issuers, "PAUSE_SECONDS", 0.0)
    ok(await sign_in(issuer.token(EMAIL, key=second)))
    await refused(issuer.token(EMAIL, key=first), "its key is none of the issuer's")


async def test_keys_are_asked_for_again_when_they_are_old(ada, sign_in, issuer, monkeypatch):
    for _ in range(3):
        ok(await sign_in(issuer.token(EMAIL)))
    assert issuer.asked == [DISCOVERY, KEYS]
    monkeypatch.setattr(issuers, "KEYS_SECONDS", 0.0)
    monkeypatch.setattr(issuers, "PAUSE_SECONDS", 0.0)
    ok(await sign_in(issuer.token(EMAIL)))
    assert issuer.asked == [DISCOVERY, KEYS] * 2


async def test_bad_tokens_do_not_make_the_hub_call_the_issuer_again_and_again(ada, sign_in, issuer):
    ok(await sign_in(issuer.token(EMAIL)))
    forged = [RSAKey.generate_key(2048, {"kid": f"unknown-{number}"}) for number in range(2)]
    tokens = [issuer.token(EMAIL, key=key, iat=int(time.time()) - number) for number in range(20) for key in forged]
    answers = await asyncio.gather(*(sign_in(token) for token in tokens))
    assert {answer.status_code for answer in answers} == {401}
    assert issuer.asked == [DISCOVERY, KEYS]


async def test_tokens_of_other_issuers_cause_no_call_at_all(ada, refused, issuer):
    await refused(issuer.token(EMAIL, iss="https://elsewhere.example.org"), "it is of another issuer")
    assert issuer.asked == []


def _without(*paths):
    def change(issuer):
        issuer.documents.update({path: {} for path in paths})

    return change


def _redirect(issuer):
    issuer.status, issuer.headers = 302, {"Location": f"{issuer.url}/.well-known/openid-configuration"}


def _moved_keys(url):
    def change(issuer):
        issuer.documents[DISCOVERY] = {"issuer": issuer.url, "jwks_uri": url}

    return change


def _keys(*keys):
    def change(issuer):
        issuer.documents[KEYS] = {"keys": list(keys)}

    return change


STRONG = RSAKey.generate_key(2048, {"kid": "rsa-1"}).as_dict(private=False)
WEAK = {**STRONG, "n": STRONG["n"][:171]}  # 1024 bits
OTHER_USE = {**STRONG, "use": "enc"}
OTHER_CURVE = ECKey.generate_key("P-384", {"kid": "rsa-1"}).as_dict(private=False)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_redirect, "answers 302; redirects are not followed"),
        (lambda issuer: setattr(issuer, "status", 500), "answers 500"),
        (_without(DISCOVERY), "its discovery document is of None"),
        (lambda issuer: issuer.documents.update({DISCOVERY: {"issuer": "https://x.org"}}), "is of 'https://x.org'"),
        (lambda issuer: issuer.documents.update({DISCOVERY: b"<html>"}), "answers with no JSON"),
        (lambda issuer: issuer.documents.update({DISCOVERY: b"[]"}), "answers with no JSON object"),
        (lambda issuer: issuer.documents.update({KEYS: b" " * (1 << 20) + b"{}"}), "more than 1048576 bytes"),
        (_moved_keys("http://keys.example.org/"), "its keys' address is 'http://keys.example.org/', not https"),
        (_moved_keys(None), "its keys' address is None, not https"),
        (_moved_keys("file:///etc/passwd"), "not https"),
        (_without(KEYS), "has no list of keys"),
        (_keys(), "has no key for RS256 or ES256"),
        (_keys(WEAK, OTHER_USE, OTHER_CURVE, "x", {"kid": 1}, {"kid": "a", "kty": "RSA"}), "has no key for"),
        (_keys({"kid": "o", "kty": "oct", "k": "c2VjcmV0"}), "has no key for"),
    ],
)
async def test_an_issuer_that_cannot_be_used_is_503_and_the_log_says_why(
    ada, sign_in, issuer, hub, caplog, monkeypatch, change, told
):
    change(issuer)
    for _ in range(3):
        problem(await sign_in(issuer.token(EMAIL)), 503, "issuer_unavailable")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1, "one call for all three"
    assert errors[0].startswith(f"HUB_OIDC_ISSUER: no keys from {issuer.url}: ")
    assert told in errors[0]
    async with hub.db.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(SignInFailure)) == 0, "no fault of the caller"
    issuer.documents, issuer.status = {}, 200
    monkeypatch.setattr(issuers, "RETRY_SECONDS", 0.0)
    ok(await sign_in(issuer.token(EMAIL)))


async def test_a_slow_issuer_holds_nobody_for_long(ada, sign_in, issuer, monkeypatch, client):
    monkeypatch.setattr(issuers, "FETCH_SECONDS", 0.5)
    ok(await sign_in(issuer.token(EMAIL)))
    known = issuer.token(EMAIL)
    unknown = issuer.add_key("rsa-2")
    monkeypatch.setattr(issuers, "PAUSE_SECONDS", 0.0)
    for fault in ("hold", "drip"):
        issuer.hold.clear() if fault == "hold" else setattr(issuer, "drip_seconds", 0.05)
        monkeypatch.setattr(issuers, "RETRY_SECONDS", 0.0)
        began = time.monotonic()
        first = asyncio.create_task(sign_in(issuer.token(EMAIL, key=unknown)))
        await asyncio.sleep(0.1)
        if fault == "hold":
            ok(await sign_in(known))
            assert not first.done(), "a known key does not wait"
        monkeypatch.setattr(issuers, "RETRY_SECONDS", 5.0)
        rest = await asyncio.gather(first, *(sign_in(issuer.token(EMAIL, key=unknown)) for _ in range(14)))
        assert {answer.status_code for answer in rest} == {503}
        assert time.monotonic() - began < 5, "one call of the issuer for all who wait"
        issuer.hold.set()


async def test_an_issuer_that_is_away(ada, sign_in, issuer):
    token = issuer.token(EMAIL)
    issuer.shutdown()
    issuer.server_close()
    problem(await sign_in(token), 503, "issuer_unavailable")

"""A hub that an identity provider signs people in to, and a provider."""

from typing import Any

import pytest
from hub_world import problem
from oidc_issuer import CLIENT, oidc_issuer

from flip_common.wire import Role

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


@pytest.fixture
def issuer():
    with oidc_issuer() as served:
        yield served


@pytest.fixture
def local_passwords() -> bool:
    return True


@pytest.fixture
def settings_changes(issuer, local_passwords) -> dict[str, Any]:
    return {"hub_oidc_issuer": issuer.url, "hub_oidc_client_id": CLIENT, "hub_local_passwords": local_passwords}


@pytest.fixture
async def ada(sign_in_as):
    return await sign_in_as(Role.RESEARCHER, email=EMAIL)


@pytest.fixture
def sign_in(client):
    async def post(token):
        return await client.post("/api/auth/oidc", json={"id_token": token})

    return post


@pytest.fixture
def refused(sign_in, caplog):
    """Signs in and is refused as all are; the log says why, without the token."""

    async def look(token, reason):
        caplog.clear()
        body = problem(await sign_in(token), 401, "wrong_credentials")
        del body["request_id"]
        assert body["detail"] == "the ID token is not accepted, or no enabled user has its e-mail address"
        told = [record.getMessage() for record in caplog.records if record.name.startswith("flip_hub")]
        assert told == [f"sign-in by ID token refused: {reason}"]
        assert token[:20] not in caplog.text
        return body

    return look

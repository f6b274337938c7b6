"""The calling trust as a dependency of routes."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from flip_hub.db import Session
from flip_hub.settings import HubSettings
from flip_hub.state import HubState
from flip_hub.trusts.keys import CallingTrust, identify

# For the OpenAPI document; the header read is the one of the settings.
_scheme = APIKeyHeader(
    name=HubSettings.model_fields["trust_api_key_header"].default,
    scheme_name="TrustApiKey",
    description="A trust's API key; the header is TRUST_API_KEY_HEADER",
    auto_error=False,
)
TrustKeyScheme = Depends(_scheme)


def api_key_of(request: Request, hub: HubState) -> str:
    """The API key the request carries, or an empty text."""
    return request.headers.get(hub.settings.trust_api_key_header, "")


async def _caller(request: Request, hub: HubState, session: Session) -> CallingTrust:
    return await identify(session, api_key_of(request, hub))


Caller = Annotated[CallingTrust, Depends(_caller)]
"""The trust whose API key the request carries, identified in the request's transaction."""

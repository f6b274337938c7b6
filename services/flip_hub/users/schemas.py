"""Bodies of the routes about users and sign-in."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from flip_common.wire import Role, TaskError, WireModel
from flip_common.wire.model import PlainText, TrustName

MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 256  # argon2 takes more; a hash of megabytes would be a cheap way to keep the hub busy
MAX_ID_TOKEN_CHARS = 16_384


def _password(value: SecretStr) -> SecretStr:
    if not MIN_PASSWORD_CHARS <= len(value.get_secret_value()) <= MAX_PASSWORD_CHARS:
        raise ValueError(f"a password has {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")
    return value


# One @ with something on both sides and no space: only a message that arrives proves more.
Email = Annotated[str, StringConstraints(to_lower=True, max_length=320, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]
NewPassword = Annotated[SecretStr, AfterValidator(_password)]
Password = Annotated[SecretStr, Field(max_length=MAX_PASSWORD_CHARS)]
FullName = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class SignIn(WireModel):
    """Body of `POST /auth/sign-in`."""

    email: Annotated[PlainText, StringConstraints(to_lower=True, max_length=320)]
    password: Password


class SignInByToken(WireModel):
    """Body of `POST /auth/oidc`."""

    id_token: Annotated[SecretStr, Field(min_length=1, max_length=MAX_ID_TOKEN_CHARS)]


class IdentityProvider(WireModel):
    """An OpenID Connect issuer, and the hub's client there, a public one."""

    issuer: str
    client_id: str


class SignInMethods(WireModel):
    """How people sign in: by a password of the hub's own, by an identity provider, or by either."""

    passwords: bool
    oidc: IdentityProvider | None


class SignedIn(WireModel):
    """Answer to a sign-in: send the token as `Authorization: Bearer`."""

    token: str
    expires_at: datetime


class Me(WireModel):
    """Who is signed in."""

    user_id: UUID
    email: str
    roles: list[Role]
    trust_ids: list[UUID]


class ChangePassword(WireModel):
    """Body of `POST /auth/password`."""

    current_password: Password
    new_password: NewPassword


class _Roles(WireModel):
    @model_validator(mode="after")
    def _owner_owns(self) -> Self:
        roles, trust_ids = getattr(self, "roles", None), getattr(self, "trust_ids", None)
        if roles is not None and trust_ids is not None and trust_ids and Role.TRUST_OWNER not in roles:
            raise ValueError("trust_ids go with the role TRUST_OWNER")
        return self


class CreateUser(_Roles):
    """Body of `POST /users`. Without a password only HUB_OIDC_ISSUER signs the user in, until one is set."""

    email: Email
    full_name: FullName = ""
    password: NewPassword | None = None
    roles: set[Role] = Field(min_length=1)
    trust_ids: set[UUID] = Field(default_factory=set, max_length=1000)


class ChangeUser(_Roles):
    """Body of `PATCH /users/{user_id}`: what is left out stays as it is."""

    full_name: FullName | None = None
    password: NewPassword | None = None
    roles: set[Role] | None = Field(default=None, min_length=1)
    trust_ids: set[UUID] | None = Field(default=None, max_length=1000)
    enabled: bool | None = None


class UserView(WireModel):
    """A user as administrators see it."""

    user_id: UUID
    email: str
    full_name: str
    roles: list[Role]
    trust_ids: list[UUID]
    enabled: bool
    created_at: datetime


class ProfileState(StrEnum):
    """Where a user's profile stands at a trust. NOT_APPLIED: the trust's imaging store has no users."""

    PENDING = "PENDING"
    APPLIED = "APPLIED"
    NOT_APPLIED = "NOT_APPLIED"
    FAILED = "FAILED"


class ProfileView(WireModel):
    """What a trust was told of a user and what came of it; `error` goes with FAILED, `at` is the time of the answer."""

    trust_id: UUID
    trust: TrustName
    enabled: bool
    state: ProfileState
    reason: str
    error: TaskError | None
    at: datetime | None

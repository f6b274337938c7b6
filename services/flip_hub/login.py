"""Who the hub is to its database: user and password from a secret that may change while the hub runs."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

import asyncpg

from flip_common.logs import register_secrets
from flip_common.settings import SettingsError
from flip_hub import aws
from flip_hub.settings import HubSettings

CONNECT_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Login:
    user: str
    password: str = field(repr=False)


class DatabaseSecret:
    """The secret of DATABASE_SECRET. It is read before the first connection, and again when the server refuses it."""

    def __init__(self, secret: str, user: str | None) -> None:
        self._secret = secret
        self._user = user  # whom the secret has to name; None: anybody
        self._login: _Login | None = None
        self._reading = asyncio.Lock()
        self._told = ""

    @classmethod
    def of(cls, settings: HubSettings) -> Self | None:
        """None where DATABASE_SECRET is not set."""
        if settings.database_secret is None or settings.database_url is None:
            return None
        user = urlsplit(settings.database_url.get_secret_value()).username
        return cls(settings.database_secret, None if user is None else unquote(user))

    async def connect(self, dsn: str) -> asyncpg.Connection:
        """A connection to a URL without password.

        Raises:
            SettingsError: the secret cannot be used; only before it was read once, later that is logged.
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the server refuses or cannot be reached.
        """
        login = self._login or await self._other_than(None)
        try:
            return await _connect(dsn, login)
        except asyncpg.InvalidAuthorizationSpecificationError:  # a wrong password is one, too
            other = await self._renewed(login)
            if other == login:
                raise
        return await _connect(dsn, other)

    async def _renewed(self, refused: _Login) -> _Login:
        try:
            return await self._other_than(refused)
        except SettingsError as problem:
            if str(problem) != self._told:  # once, not for each connection
                self._told = str(problem)
                log.error("%s", problem)
            return refused

    async def _other_than(self, refused: _Login | None) -> _Login:
        async with self._reading:
            if self._login is None or self._login == refused:  # else it was read for another connection meanwhile
                self._login = await self._read("AWSCURRENT")
                if self._login == refused:
                    # A rotation gives the server the new password before it makes that one current.
                    self._login = await self._read("AWSPENDING", instead=self._login)
                self._told = ""
            return self._login

    async def _read(self, stage: str, instead: _Login | None = None) -> _Login:
        try:
            answer = await aws.call("secretsmanager", "get_secret_value", SecretId=self._secret, VersionStage=stage)
        except SettingsError as error:
            raise self._problem(str(error)) from None
        except aws.AwsError as error:
            if instead is not None:  # as a rule nothing is pending, which AWS answers with an error
                return instead
            raise self._problem(f"{error}. The hub's role needs secretsmanager:GetSecretValue on it") from None
        if "SecretString" not in answer:
            raise self._problem("it is binary, not text")
        try:
            found = json.loads(answer["SecretString"])
            login = _Login(found["username"], found["password"])
        except (ValueError, KeyError, TypeError):
            raise self._problem('it is not of the form {"username": "...", "password": "..."}') from None
        if not all(isinstance(part, str) and part for part in (login.user, login.password)):
            raise self._problem("username or password is no text, or empty")
        if self._user not in (None, login.user):
            raise self._problem(f"its user is {login.user}, that of DATABASE_URL {self._user}; leave that out")
        register_secrets([login.password])
        return login

    def _problem(self, reason: str) -> SettingsError:
        return SettingsError(f"DATABASE_SECRET: {self._secret} cannot be used: {reason}")


async def _connect(dsn: str, login: _Login) -> asyncpg.Connection:
    return await asyncpg.connect(dsn, user=login.user, password=login.password, timeout=CONNECT_SECONDS)

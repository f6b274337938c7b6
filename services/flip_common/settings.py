"""Typed settings from the environment or an env file: unknown or malformed values are refused by name."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as MalformedJsonError

from flip_common.envfile import read_env_file
from flip_common.logs import register_secrets

TYPO_CUTOFF = 0.92
# Read by one FLIP service or another, so never a misspelling of a neighbour's name.
SHARED_NAMES = frozenset(
    {
        "AES_KEY_BASE64",
        "TRUST_AES_KEYS",
        "TRUST_APP_SERVICE_KEY",
        "INTERNAL_SERVICE_KEY",
        "INTERNAL_SERVICE_KEY_HASH",
        "INTERNAL_SERVICE_KEY_HEADER",
        "TRUST_API_KEY",
        "TRUST_API_KEYS",
        "TRUST_API_KEY_HASHES",
        "TRUST_API_KEY_HEADER",
        "TRUST_INTERNAL_SERVICE_KEY",
        "TRUST_INTERNAL_SERVICE_KEY_HEADER",
    }
)


class SettingsError(ValueError):
    """Settings that cannot be used; the text has one line a problem, names the setting and the remedy."""


class _LiteralEnvFile(DotEnvSettingsSource):
    """Reads env files without expanding `${...}`, which is part of a password as often as not."""

    def _read_env_file(self, file_path: Path) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in read_env_file(file_path).items() if value}


class ServiceSettings(BaseSettings):
    """Base of every service's settings. A field `task_max_attempts` is read from `TASK_MAX_ATTEMPTS`.

    A name in the env file that is no setting is refused, unless another FLIP service reads it (`SHARED_NAMES`). In
    the process environment, which others share, a name is refused when it starts with one of `reserved_prefixes`,
    or is so close to a setting's name that it can only be a misspelling.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True)
    reserved_prefixes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code comes first, then the environment, then the env file."""
        assert isinstance(dotenv_settings, DotEnvSettingsSource)  # noqa: S101 - pydantic-settings makes it so
        literal = _LiteralEnvFile(settings_cls, env_file=dotenv_settings.env_file)
        return init_settings, env_settings, literal

    @classmethod
    def load(cls, env_file: Path | None = None) -> Self:
        """Reads the settings and registers their secrets with the log redaction.

        Raises:
            SettingsError: the env file is missing or cannot be read, or any name or value is wrong.
        """
        if env_file is not None and not env_file.is_file():
            raise SettingsError(f"env file {env_file} does not exist; create it or leave --env-file out")
        problems = cls._misspelt()
        try:
            problems += cls._unknown_in(env_file) if env_file else []
            settings = cls(_env_file=env_file)
        except ValidationError as error:
            problems += [_explain(item) for item in error.errors(include_input=False, include_url=False)]
        except MalformedJsonError as error:
            problems.append(_not_json(error))
        except (OSError, ValueError) as error:
            raise SettingsError(f"env file: {error}") from None
        if problems:
            raise SettingsError("\n".join(problems))
        for value in settings.__dict__.values():
            several = value.values() if isinstance(value, dict) else (value,)
            register_secrets(item.get_secret_value() for item in several if isinstance(item, SecretStr))
        return settings

    @classmethod
    def names(cls) -> list[str]:
        """Names of the settings as they stand in the environment."""
        return sorted(name.upper() for name in cls.model_fields)

    @classmethod
    def _unknown_in(cls, env_file: Path) -> list[str]:
        names = {name.upper() for name in read_env_file(env_file)}
        return [_unknown(name, cls.names()) for name in sorted(names - set(cls.names()) - SHARED_NAMES)]

    @classmethod
    def _misspelt(cls) -> list[str]:
        known = set(cls.names())
        problems = []
        for name in sorted(set(os.environ) - known - SHARED_NAMES):
            near = difflib.get_close_matches(name, known, n=1, cutoff=TYPO_CUTOFF)
            if near or name.startswith(cls.reserved_prefixes or ("\0",)):
                problems.append(_unknown(name, known))
        return problems


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name}: unknown setting; " + (f"did you mean {near[0]}?" if near else "remove it")


def _not_json(error: MalformedJsonError) -> str:
    field = re.search(r'field "(\w+)"', str(error))
    return f"{field.group(1).upper() if field else error}: is no valid JSON; see docs/settings.md for its form"


def _explain(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"]).upper() or "settings"
    if item["type"] == "missing":
        return f"{name}: not set; it is required"
    return f"{name}: {item['msg']}"

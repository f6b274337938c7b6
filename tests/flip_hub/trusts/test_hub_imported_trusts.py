"""Trusts named in the settings are there from the first start."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_common.settings import SettingsError
from flip_hub.app import open_hub
from flip_hub.audit.tables import AuditEvent
from flip_hub.settings import HubSettings
from flip_hub.trusts import service
from flip_hub.trusts.tables import Trust
from flipctl import envfile
from flipctl.keys import app as keys

Make = Callable[..., HubSettings]


def named(name: str, payload_key: PayloadKey | None = None) -> tuple[str, dict[str, object]]:
    """An API key, and the settings that name its trust."""
    key = generate_api_key()
    aes = (payload_key or PayloadKey.generate()).to_base64()
    return key, {"trust_api_key_hashes": {name: hash_api_key(key)}, "trust_aes_keys": {name: aes}}


async def live_keys(settings: HubSettings, name: str) -> list[str]:
    """Kids of the trust's live keys after a start with these settings."""
    async with open_hub(settings) as hub, hub.db.transaction() as session:
        trust = (await session.scalars(select(Trust).where(Trust.name == name))).one()
        return [key.kid for key in await service.keys_of(session, trust.id) if key.retired_at is None]


async def test_a_named_trust_is_registered_once_and_can_call(hub_settings: Make) -> None:
    payload_key = PayloadKey.generate()
    _, settings = named("Trust_9", payload_key)
    for _ in range(2):
        assert await live_keys(hub_settings(**settings), "Trust_9") == [payload_key.kid]
    async with open_hub(hub_settings(**settings)) as hub, hub.db.transaction() as session:
        entries = (await session.scalars(select(AuditEvent).where(AuditEvent.action == "trust.register"))).all()
        assert [entry.actor for entry in entries] == ["settings"]


async def test_a_new_key_is_a_rotation_and_a_third_is_refused(hub_settings: Make) -> None:
    kids = []
    for _ in range(2):
        payload_key = PayloadKey.generate()
        kids.append(payload_key.kid)
        assert await live_keys(hub_settings(**named("Trust_9", payload_key)[1]), "Trust_9") == kids
    with pytest.raises(SettingsError, match="Trust_9 has two live keys"):
        await live_keys(hub_settings(**named("Trust_9")[1]), "Trust_9")


@pytest.mark.parametrize(
    ("aes", "problem"), [({}, "no payload key for Trust_9"), ({"Trust_9": "c2hvcnQ="}, "Trust_9: a payload key has")]
)
async def test_bad_payload_keys_stop_the_start(hub_settings: Make, aes: dict[str, str], problem: str) -> None:
    settings = named("Trust_9")[1] | {"trust_aes_keys": aes}
    with pytest.raises(SettingsError, match=problem):
        await live_keys(hub_settings(**settings), "Trust_9")


async def test_what_flipctl_makes_is_what_the_hub_reads(tmp_path: Path, pg_url: str) -> None:
    env = tmp_path / "hub.env"
    made = CliRunner().invoke(keys, ["generate", "--env-file", str(env), "--trust", "Trust_9"])
    assert made.exit_code == 0
    envfile.update(env, {"HUB_DATA_DIR": str(tmp_path / "hub"), "DATABASE_URL": pg_url})
    assert len(await live_keys(HubSettings.load(env), "Trust_9")) == 1

"""The master key: made once, kept private, needed for everything it wrapped."""

import asyncio
import os
from uuid import uuid4

import pytest

from flip_common.keys import PayloadKey, hash_api_key
from flip_hub.settings import HubSettings
from flip_hub.trusts.vault import Vault, VaultError


def settings(folder, **changes):
    return HubSettings(hub_data_dir=folder, internal_service_key_hash=hash_api_key("x"), **changes)


def test_a_key_comes_back_for_its_trust_and_no_other(tmp_path):
    vault = Vault.open(settings(tmp_path))
    trust_id, key = uuid4(), PayloadKey.generate()
    wrapped = vault.wrap(trust_id, key)
    assert Vault.open(settings(tmp_path)).unwrap(trust_id, wrapped) == key, "also after a restart"
    assert vault.wrap(trust_id, key) != wrapped
    assert key.to_base64() not in wrapped
    for wrong in (wrapped[:-4] + "AAA=", "v2" + wrapped[2:], "", "v1.!"):
        with pytest.raises(VaultError, match="does not open"):
            vault.unwrap(trust_id, wrong)
    with pytest.raises(VaultError, match="restore the master key"):
        vault.unwrap(uuid4(), wrapped)
    with pytest.raises(VaultError, match="restore the master key"):
        Vault(os.urandom(32), "elsewhere").unwrap(trust_id, wrapped)


def test_the_file_is_made_private(tmp_path):
    os.umask(0)
    Vault.open(settings(tmp_path))
    path = tmp_path / "master.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(VaultError, match=f"mode {mode:04o} lets others read it; run: chmod 600"):
            Vault.open(settings(tmp_path))


async def test_hubs_that_start_together_agree(tmp_path):
    vaults = await asyncio.gather(*(asyncio.to_thread(Vault.open, settings(tmp_path)) for _ in range(16)))
    trust_id, key = uuid4(), PayloadKey.generate()
    wrapped = vaults[0].wrap(trust_id, key)
    assert all(vault.unwrap(trust_id, wrapped) == key for vault in vaults)


def test_a_named_file_is_never_made(tmp_path):
    path = tmp_path / "kms" / "hub.key"
    with pytest.raises(VaultError, match=r"hub\.key: cannot be read \(FileNotFoundError\)"):
        Vault.open(settings(tmp_path, hub_master_key_file=path))
    path.parent.mkdir()
    path.touch(0o600)
    secret = "c2VjcmV0IHRoYXQgaXMgdG9vIHNob3J0"
    path.write_text(secret)
    with pytest.raises(VaultError, match="expected 32 bytes in base64") as caught:
        Vault.open(settings(tmp_path, hub_master_key_file=path))
    assert secret not in str(caught.value)
    path.write_text(PayloadKey.generate().to_base64())
    Vault.open(settings(tmp_path, hub_master_key_file=path))

"""The master key in AWS KMS: made once, wrapped in the database, opened by KMS alone."""

import asyncio
import logging
import sys
from uuid import uuid4

import boto3
import pytest
from aws_faults import refusing
from sqlalchemy import select, text, update

from flip_common.keys import PayloadKey, generate_api_key, hash_api_key
from flip_common.settings import SettingsError
from flip_hub.app import open_hub
from flip_hub.db import Database
from flip_hub.settings import HubSettings
from flip_hub.trusts.master_key import open_vault
from flip_hub.trusts.service import register
from flip_hub.trusts.tables import WrappedMasterKey
from flip_hub.trusts.vault import VaultError

UNKNOWN = "arn:aws:kms:eu-west-2:123456789012:key/00000000-0000-4000-8000-000000000000"


@pytest.fixture
def kms(aws):
    return boto3.client("kms")


@pytest.fixture
def kms_key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


@pytest.fixture
async def db(pg_url):
    opened = Database(pg_url, pool_size=4)
    yield opened
    await opened.close()


async def row_of(db):
    async with db.transaction() as session:
        return (await session.scalars(select(WrappedMasterKey))).one()


async def test_the_key_outlives_the_hub_s_disk_and_is_in_the_database_wrapped_only(hub_settings, kms_key, tmp_path, db):
    async with open_hub(hub_settings(hub_master_kms_key=kms_key)) as hub, hub.db.transaction() as session:
        kit = await register(session, hub, "test", "A")
    assert not list(tmp_path.rglob("master.key"))
    again = hub_settings(hub_master_kms_key=kms_key, hub_data_dir=tmp_path / "another-disk")
    async with open_hub(again) as hub, hub.db.transaction() as session:
        wrapped = await session.scalar(text("SELECT wrapped_payload_key FROM trust_keys"))
        assert hub.vault.unwrap(kit.trust_id, wrapped).to_base64() == kit.aes_key_base64
    row = await row_of(db)
    assert row.kms_key == kms_key
    kms_answer = boto3.client("kms").decrypt(
        CiphertextBlob=row.wrapped, KeyId=kms_key, EncryptionContext={"purpose": "flip-hub-master-key"}
    )
    assert kms_answer["Plaintext"] not in row.wrapped


async def test_hubs_that_start_together_agree(hub_settings, kms_key, db):
    settings = hub_settings(hub_master_kms_key=kms_key)
    vaults = await asyncio.gather(*(open_vault(settings, db) for _ in range(4)))
    trust_id, key = uuid4(), PayloadKey.generate()
    wrapped = vaults[0].wrap(trust_id, key)
    assert all(vault.unwrap(trust_id, wrapped) == key for vault in vaults)


async def test_an_alias_that_later_names_another_key_does_no_harm(hub_settings, kms, kms_key, db):
    alias = f"alias/flip-{uuid4().hex}"
    kms.create_alias(AliasName=alias, TargetKeyId=kms_key)
    (arn,) = (entry["AliasArn"] for entry in kms.list_aliases()["Aliases"] if entry["AliasName"] == alias)
    vault = await open_vault(hub_settings(hub_master_kms_key=arn), db)
    assert (await row_of(db)).kms_key == kms_key
    kms.update_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    trust_id, key = uuid4(), PayloadKey.generate()
    later = await open_vault(hub_settings(hub_master_kms_key=arn), db)
    assert later.unwrap(trust_id, vault.wrap(trust_id, key)) == key


async def test_a_database_of_one_kind_is_refused_with_the_other(hub_settings, kms_key, tmp_path, db):
    async with open_hub(hub_settings()) as hub, hub.db.transaction() as session:
        await register(session, hub, "test", "A")
    with pytest.raises(VaultError, match=r"wrapped with the key of a file; unset it, and set HUB_MASTER_KEY_FILE"):
        await open_vault(hub_settings(hub_master_kms_key=kms_key), db)
    async with db.transaction() as session:
        assert await session.get(WrappedMasterKey, 1) is None
        await session.execute(text("DELETE FROM trusts"))
    await open_vault(hub_settings(hub_master_kms_key=kms_key), db)
    path = tmp_path / "other.key"
    path.touch(0o600)
    path.write_text(PayloadKey.generate().to_base64())
    for changes in ({}, {"hub_master_key_file": path}):
        with pytest.raises(VaultError, match=rf"{kms_key} guards; set HUB_MASTER_KMS_KEY to it"):
            await open_vault(hub_settings(**changes), db)


async def test_what_kms_does_not_open_stops_the_start(hub_settings, kms, kms_key, db):
    settings = hub_settings(hub_master_kms_key=kms_key)
    await open_vault(settings, db)
    row = await row_of(db)

    def made(**context):
        return kms.generate_data_key(KeyId=kms_key, KeySpec="AES_256", **context)["CiphertextBlob"]

    for changed, reason in (
        ({"wrapped": made(EncryptionContext={"purpose": "other"})}, "InvalidCiphertext"),
        ({"wrapped": made()}, "InvalidCiphertext"),
        ({"wrapped": row.wrapped[:-1] + bytes([row.wrapped[-1] ^ 1])}, "InvalidCiphertext"),
        ({"kms_key": kms.create_key()["KeyMetadata"]["Arn"]}, "AccessDenied"),
        ({"kms_key": UNKNOWN}, "NotFound"),
    ):
        async with db.transaction() as session:
            values = {"wrapped": row.wrapped, "kms_key": row.kms_key, **changed}
            await session.execute(update(WrappedMasterKey).values(values))
        with pytest.raises(VaultError, match=rf"HUB_MASTER_KMS_KEY: .*{reason}.*kms:GenerateDataKey and kms:Decrypt"):
            await open_vault(settings, db)


async def test_a_first_start_with_an_unknown_key_leaves_nothing_behind(hub_settings, aws, db):
    with pytest.raises(VaultError, match=f"cannot be had from {UNKNOWN}: .*NotFound"):
        await open_vault(hub_settings(hub_master_kms_key=UNKNOWN), db)
    async with db.transaction() as session:
        assert await session.get(WrappedMasterKey, 1) is None


@pytest.mark.parametrize("reason", ["AccessDeniedException", "DisabledException"])
async def test_a_refusal_says_why_and_what_is_needed(hub_settings, aws, kms_key, db, monkeypatch, reason):
    settings = hub_settings(hub_master_kms_key=kms_key)
    with refusing(reason) as address:
        for operation in ("GenerateDataKey", "Decrypt"):
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            told = rf"{reason}\) when calling the {operation} operation: as the test wants it\. .*kms:Decrypt on it"
            with pytest.raises(VaultError, match=told):
                await open_vault(settings, db)
            monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
            await open_vault(settings, db)


async def test_no_answer_no_region_and_no_boto3(hub_settings, aws, db, monkeypatch):
    settings = hub_settings(hub_master_kms_key=UNKNOWN)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(VaultError, match="Could not connect to the endpoint"):
        await open_vault(settings, db)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(SettingsError, match=r"HUB_MASTER_KMS_KEY: .*You must specify a region"):
        await open_vault(settings, db)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match="HUB_MASTER_KMS_KEY: boto3 is not installed"):
        await open_vault(settings, db)


async def test_no_log_level_shows_the_key(hub_settings, kms, kms_key, db, caplog):
    caplog.set_level(logging.DEBUG)
    await open_vault(hub_settings(hub_master_kms_key=kms_key), db)
    assert "Plaintext" not in caplog.text


GOOD = (
    "arn:aws:kms:eu-west-2:123456789012:key/00000000-0000-4000-8000-000000000000",
    "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-00000000000040008000000000000000",
    "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/flip/hub_key-1",
)


def test_what_names_a_key(tmp_path, monkeypatch):
    def load(**environment):
        monkeypatch.setenv("HUB_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("INTERNAL_SERVICE_KEY_HASH", hash_api_key(generate_api_key()))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return HubSettings.load()

    for arn in GOOD:
        assert load(HUB_MASTER_KMS_KEY=arn).hub_master_kms_key == arn
    for wrong in ("alias/flip", GOOD[0].replace("kms", "s3"), GOOD[0] + "\n", "https://" + GOOD[0], GOOD[0][:-36]):
        with pytest.raises(SettingsError, match="HUB_MASTER_KMS_KEY: String should match"):
            load(HUB_MASTER_KMS_KEY=wrong)
    with pytest.raises(SettingsError, match="HUB_MASTER_KMS_KEY and HUB_MASTER_KEY_FILE exclude each other"):
        load(HUB_MASTER_KMS_KEY=GOOD[0], HUB_MASTER_KEY_FILE="/run/master.key")

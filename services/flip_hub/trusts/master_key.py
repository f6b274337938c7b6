"""Where the master key comes from: a file, or the database, in which AWS KMS has wrapped it."""

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from flip_common.settings import SettingsError
from flip_hub import aws
from flip_hub.db import Database
from flip_hub.settings import HubSettings
from flip_hub.trusts.tables import TrustKey, WrappedMasterKey
from flip_hub.trusts.vault import Vault, VaultError

# KMS unwraps for a caller who names the same context only, and writes it into CloudTrail.
CONTEXT = {"purpose": "flip-hub-master-key"}


async def open_vault(settings: HubSettings, db: Database) -> Vault:
    """The vault with this hub's master key, which is made at the first start.

    Raises:
        VaultError: the key cannot be had, or the database's payload keys are wrapped with one of the other kind.
        flip_common.settings.SettingsError: HUB_MASTER_KMS_KEY is set, and AWS cannot be called from here at all.
    """
    stored = await _stored(db)
    if settings.hub_master_kms_key is None:
        if stored is not None:
            raise VaultError(
                f"the database's payload keys are wrapped with a key that {stored.kms_key} guards; "
                "set HUB_MASTER_KMS_KEY to it, in place of HUB_MASTER_KEY_FILE"
            )
        return Vault.open(settings)
    if stored is None:
        await _make(settings.hub_master_kms_key, db)
        stored = await _stored(db)
    assert stored is not None  # noqa: S101 - made above, here or by a hub that started together with this one
    answer = await _kms(
        "decrypt", stored.kms_key, KeyId=stored.kms_key, CiphertextBlob=stored.wrapped, EncryptionContext=CONTEXT
    )
    return Vault(answer["Plaintext"], stored.kms_key)


async def _stored(db: Database) -> WrappedMasterKey | None:
    async with db.transaction() as session:
        return await session.get(WrappedMasterKey, 1)


async def _make(kms_key: str, db: Database) -> None:
    async with db.transaction() as session:
        if await session.scalar(select(exists(select(TrustKey.id)))):
            raise VaultError(
                "HUB_MASTER_KMS_KEY: the database's payload keys are wrapped with the key of a file; unset it, and set "
                "HUB_MASTER_KEY_FILE to that file (unset, too: master.key in HUB_DATA_DIR)"
            )
    answer = await _kms("generate_data_key", kms_key, KeyId=kms_key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    insert = postgresql_insert if db.is_postgresql else sqlite_insert
    # What KMS names is the key itself, also behind an alias: one that later points elsewhere does no harm.
    row = insert(WrappedMasterKey).values(id=1, kms_key=answer["KeyId"], wrapped=answer["CiphertextBlob"])
    async with db.transaction() as session:
        await session.execute(row.on_conflict_do_nothing())


async def _kms(operation: str, key: str, **arguments: object) -> dict[str, bytes]:
    try:
        return await aws.call("kms", operation, **arguments)
    except SettingsError as error:
        raise SettingsError(f"HUB_MASTER_KMS_KEY: {error}") from None
    except aws.AwsError as error:
        raise VaultError(
            f"HUB_MASTER_KMS_KEY: the master key cannot be had from {key}: {error}. The key must exist and be enabled, "
            "and the hub's role needs kms:GenerateDataKey and kms:Decrypt on it"
        ) from None

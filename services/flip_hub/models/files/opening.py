"""Which of the places for files the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flip_common.settings import SettingsError
from flip_hub import aws
from flip_hub.models.files import ModelFiles
from flip_hub.models.files.folder import FolderFiles
from flip_hub.settings import HubSettings


@asynccontextmanager
async def opened_files(settings: HubSettings) -> AsyncIterator[ModelFiles]:
    """The bucket HUB_FILES_BUCKET, or a folder in HUB_DATA_DIR.

    Raises:
        SettingsError: the bucket cannot be used.
    """
    bucket = settings.hub_files_bucket
    if bucket is None:
        yield FolderFiles(settings.hub_data_dir / "models")
        return
    try:
        client = aws.client("s3")
    except SettingsError as error:
        raise SettingsError(f"HUB_FILES_BUCKET: {error}") from None
    from flip_hub.models.files.s3 import S3Files  # noqa: PLC0415 - boto3 is an extra

    async with S3Files.opened(client, bucket, settings.hub_files_prefix, settings.hub_data_dir / "spool") as files:
        yield files

"""The embedded PostgreSQL: what is refused, and what the hub says about it."""

import stat

import pytest

from flip_common.keys import hash_api_key
from flip_hub.embedded import EmbeddedDatabaseError, database_url
from flip_hub.settings import HubSettings


def settings(folder, **changes):
    return HubSettings(hub_data_dir=folder, internal_service_key_hash=hash_api_key("x"), **changes)


async def opened(of_settings):
    async with database_url(of_settings) as url:
        return url


async def test_a_given_database_is_used_as_it_is(tmp_path):
    assert await opened(settings(tmp_path, database_url="postgresql://u:p@db/flip")) == "postgresql://u:p@db/flip"
    assert list(tmp_path.iterdir()) == []


async def test_no_tcp_and_nobody_else_on_the_socket(tmp_path):
    url = await opened(settings(tmp_path))
    assert url == f"postgresql://postgres:@/flip_hub?host={tmp_path}/postgres"
    assert stat.S_IMODE((tmp_path / "postgres").stat().st_mode) == 0o700


async def test_a_path_too_long_for_a_socket_is_refused_with_the_remedy(tmp_path):
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    with pytest.raises(EmbeddedDatabaseError, match="choose a shorter HUB_DATA_DIR or set DATABASE_URL"):
        await opened(settings(deep))


async def test_a_damaged_folder_names_its_log(tmp_path):
    await opened(settings(tmp_path))
    (tmp_path / "postgres" / "global" / "pg_control").write_bytes(b"damaged")
    with pytest.raises(EmbeddedDatabaseError, match=r"does not start .* see .*/postgres/log"):
        await opened(settings(tmp_path))

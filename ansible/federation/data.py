"""Each trust's patients: DICOM for the hospital's PACS, and the OMOP records as one SQL file."""

import asyncio
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import asyncpg

from federation.docker import FederationError, docker, inside
from federation.plan import FOLDER, LABEL, Site
from flipctl.data import Manifest, load_omop
from flipctl.demo.progress import Progress
from flipctl.demo.run import make_data

DATABASE, OWNER, OWNER_ID = "omop", "flip_owner", 10002
START_SECONDS = 60
DUMP = f"pg_dump --host=127.0.0.1 --username={OWNER} --schema=omop --no-owner --no-privileges {DATABASE}"


def make(trusts: Iterable[Site], patients: int, omop_image: str, progress: Progress) -> Path:
    """The demo's data, with `omop-<trust>.sql` for each trust; what was made before is used again.

    Returns the folder, which has one for each trust's studies.
    """
    folder = FOLDER / "data"
    manifest = make_data(folder, patients, progress)
    for site in trusts:
        if not sql_file(site).exists():
            _dump(site, manifest, omop_image)
    return folder


def sql_file(site: Site) -> Path:
    """The trust's OMOP records: schema `omop` as PostgreSQL's own dump."""
    return FOLDER / "data" / f"omop-{site.trust}.sql"


def _dump(site: Site, manifest: Manifest, image: str) -> None:
    # The same PostgreSQL that will load it: a dump of a newer one has settings that an older one refuses.
    name, password = f"flip-federation-dump-{site.name}", secrets.token_urlsafe(24)
    config = FOLDER / "dump"
    config.mkdir(mode=0o755, parents=True, exist_ok=True)
    file = config / "password"
    file.unlink(missing_ok=True)
    file.touch(mode=0o400)
    file.write_text(f"{password}\n", encoding="ascii")
    os.chown(file, OWNER_ID, OWNER_ID)
    docker(
        "run", "--detach", "--rm", "--name", name, "--label", LABEL, "--volume", f"{config}:/config:ro",
        "--tmpfs", f"/data:uid={OWNER_ID},gid={OWNER_ID},mode=0700", image,
    )  # fmt: skip
    try:
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).strip()
        url = f"postgresql://{OWNER}:{password}@{address}/{DATABASE}"
        _wait(url)
        asyncio.run(load_omop(url, manifest, site.trust))
        text = inside(name, "sh", "-c", f"PGPASSWORD=$(cat /config/password) {DUMP}")
    finally:
        docker("rm", "--force", "--volumes", name)
        file.unlink()
    target = sql_file(site)
    part = target.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def _wait(url: str) -> None:
    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    deadline = time.monotonic() + START_SECONDS
    while not asyncio.run(answers()):
        if time.monotonic() > deadline:
            raise FederationError(f"the database that makes the OMOP files did not answer within {START_SECONDS} s")
        time.sleep(0.25)

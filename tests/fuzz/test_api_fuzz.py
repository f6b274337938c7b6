"""No request makes any API fail: whatever comes, the answer is quick, below 500, and errors are problem documents."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from api_fuzz import Api, Findings, fuzz
from hub_world import app_zip

from flip_common.keys import PayloadKey, generate_api_key
from flip_common.wire import FLBackend, JobSpec, JobType, Role
from flip_fl.api import FL_API_KEY_HEADER
from flip_fl.app import create_app as create_fl_api
from flip_fl.backend import Backend
from flip_trust.api.app import create_app as create_trust_api
from flip_trust.api.handlers import Handlers
from flip_trust.api.hub import HubClient
from flip_trust.api.poller import Poller
from flip_trust.api.settings import TrustApiSettings
from flip_trust.api.site import SiteService
from flip_trust.data_access.app import create_app as create_data_access_api
from flip_trust.data_access.prepare import prepare_database
from flip_trust.data_access.settings import DataAccessSettings
from flip_trust.disclosure import Disclosure
from flip_trust.imaging.app import create_app as create_imaging_api
from flip_trust.imaging.settings import ImagingSettings

KEY = "a-key-for-the-trusts-own-services"
KEY_HEADER = "X-Trust-Internal-Service-Key"
OMOP = """
CREATE SCHEMA omop;
CREATE TABLE omop.person (person_id integer PRIMARY KEY, year_of_birth integer, gender_concept_id integer);
CREATE TABLE omop.image_occurrence (
    image_occurrence_id integer PRIMARY KEY, person_id integer, image_occurrence_date date, accession_id varchar(64));
INSERT INTO omop.person SELECT n, 1940 + n % 60, 8507 FROM generate_series(1, 40) AS n;
INSERT INTO omop.image_occurrence SELECT n, n, date '2020-01-01' + n, 'ACC' || n FROM generate_series(1, 40) AS n;
"""
QUERY = (
    "SELECT p.person_id, io.accession_id FROM omop.person p "
    "JOIN omop.image_occurrence io ON io.person_id = p.person_id WHERE p.year_of_birth > 1950"
)


async def no_defect(api: Api, operations: int, requests: int, statuses: set[int], *, nasty: bool = True) -> None:
    """Fuzzes beside the event loop that serves; all of it must have been reached."""
    found: Findings = await asyncio.to_thread(fuzz, api, nasty=nasty)
    print(f"{api.app.title}: {found}")
    assert not found.defects, "\n\n".join(f"{what}\n{request}" for what, request in sorted(found.defects.items()))
    assert found.operations >= operations
    assert found.requests >= requests
    assert statuses <= set(found.by_status), "the requests get no further than the door"


@pytest.mark.postgres
@pytest.mark.parametrize("role", [Role.ADMIN, Role.RESEARCHER, Role.TRUST_OWNER])
async def test_public_hub_api_withstands_any_request(hub_in_use: Any, listen: Any, role: Role) -> None:
    headers = {**hub_in_use.people[role].headers, **hub_in_use.trust.headers}
    api = Api(hub_in_use.public, await listen(hub_in_use.public, lifespan=False), headers, hub_in_use.ids)
    nasty = role is Role.ADMIN
    await no_defect(api, 50, 2000 if nasty else 500, {200, 204, 403, 404, 409, 422}, nasty=nasty)


@pytest.mark.postgres
async def test_internal_hub_api_withstands_any_request(hub_in_use: Any, listen: Any) -> None:
    url = await listen(hub_in_use.internal, lifespan=False)
    api = Api(hub_in_use.internal, url, hub_in_use.internal_headers, hub_in_use.ids)
    await no_defect(api, 4, 350, {200, 204, 400, 403, 404, 409, 422})


@pytest.mark.postgres
async def test_data_access_api_withstands_any_request(
    new_database: Callable[[str], Awaitable[str]], listen: Any
) -> None:
    owner = await new_database("omop_site")
    connection = await asyncpg.connect(owner)
    await connection.execute(OMOP)
    await connection.close()
    reader = owner.replace("postgres:", "flip_reader:pass-word", 1)
    await prepare_database(owner, reader)
    settings = DataAccessSettings(
        data_access_database_url=reader,
        data_access_owner_database_url=owner,
        trust_internal_service_key=KEY,
        cohort_query_seconds=0,  # every query would take its fixed time, which is no defect
    )
    app = create_data_access_api(settings)
    ids = {"project_id": str(uuid4()), "query": QUERY}
    await no_defect(Api(app, await listen(app), {KEY_HEADER: KEY}, ids), 5, 300, {200, 400, 403, 404, 405, 422})


async def test_imaging_api_withstands_any_request(tmp_path: Path, listen: Any) -> None:
    (tmp_path / "source").mkdir()
    settings = ImagingSettings(
        imaging_data_dir=tmp_path / "data",
        imaging_store="folder",
        imaging_folder=tmp_path / "source",
        trust_internal_service_key=KEY,
    )
    app = create_imaging_api(settings)
    ids = {"project_id": str(uuid4()), "accession": "ACC1"}
    await no_defect(Api(app, await listen(app), {KEY_HEADER: KEY}, ids), 8, 300, {200, 202, 204, 401, 403, 404, 422})


async def test_trust_api_withstands_any_request(listen: Any) -> None:
    settings = TrustApiSettings(
        central_hub_api_url="http://127.0.0.1:9/api",  # never called: the poller does not run
        trust_api_key=generate_api_key(),
        aes_key_base64=PayloadKey.generate().to_base64(),
        trust_internal_service_key=KEY,
    )
    async with contextlib.AsyncExitStack() as stack:
        hub = HubClient(settings)
        site = SiteService("data-access-api", settings.data_access_api_url, settings)
        for client in (hub, site):
            stack.push_async_callback(client.close)
        poller = Poller(settings, hub, Handlers(site, site, Disclosure(10, 10)), (site,))
        app = create_trust_api(settings, poller)
        await no_defect(Api(app, await listen(app), {KEY_HEADER: KEY}), 2, 50, {200, 401, 404})


async def test_fl_api_withstands_any_request(backend: Backend, listen: Any) -> None:
    key = "fl-api-key-of-the-tests"
    app = create_fl_api(backend, key, max_app_bytes=1_000_000)
    url, ids = await listen(app), {"trust": "Trust-A", "job_id": str(uuid4())}
    content = app_zip()
    spec = JobSpec(
        job_id=ids["job_id"],
        model_id=uuid4(),
        project_id=uuid4(),
        backend=FLBackend.FLOWER,
        job_type=JobType.STANDARD,
        cohort_query=QUERY,
        trusts=["Trust-A"],
        app_digest=sha256(content).hexdigest(),
    )
    async with httpx.AsyncClient(base_url=url, headers={FL_API_KEY_HEADER: key}, trust_env=False) as client:
        data, files = {"spec": spec.model_dump_json()}, {"app": content}
        assert [(await client.post("/jobs", data=data, files=files)).status_code for _ in range(2)] == [201, 200]
    await no_defect(Api(app, url, {FL_API_KEY_HEADER: key}, ids), 8, 200, {200, 204, 401, 404, 422})

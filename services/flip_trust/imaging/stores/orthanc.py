"""A staging Orthanc: it fetches from the PACS by C-FIND and C-MOVE, and hands over by WADO-RS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr

from flip_trust.imaging.accession import check_accession
from flip_trust.imaging.intake import Intake
from flip_trust.imaging.store import FoundStudy, ImagingStore, StoreError, StoreUnavailable
from flip_trust.imaging.stores.matching import check_complete, matching_studies
from flip_trust.imaging.stores.multipart import MultipartError, boundary_of, write_parts

_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS = 0.01, 0.5
_WADO_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class StagingOrthanc:
    """The staging Orthanc: REST address and account, its name for the PACS, and its own AE title."""

    url: str
    username: str
    password: SecretStr
    pacs: str
    ae_title: str
    ca: Path | None = None


class OrthancStore(ImagingStore):
    """Drives a staging Orthanc that belongs to FLIP alone; studies leave it as soon as they are safe here."""

    def __init__(self, orthanc: StagingOrthanc, *, timeout_seconds: float) -> None:
        self._orthanc, self._timeout = orthanc, timeout_seconds
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        orthanc = self._orthanc
        tls = ssl.create_default_context(cafile=orthanc.ca) if orthanc.ca else ssl.create_default_context()
        self._client = httpx.AsyncClient(
            base_url=orthanc.url,
            auth=(orthanc.username, orthanc.password.get_secret_value()),
            # Orthanc compresses everything on request, at a tenth of the speed.
            headers={"Accept-Encoding": "identity"},
            timeout=self._timeout,
            verify=tls,
            trust_env=False,
        )

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def fetch(self, project_id: UUID, accession: str, intake: Intake) -> None:
        async with self._errors():
            query = await self._post(
                f"/modalities/{self._orthanc.pacs}/query",
                {
                    "Level": "Study",
                    "Query": {
                        "AccessionNumber": accession,
                        "StudyInstanceUID": "",
                        "NumberOfStudyRelatedInstances": "",
                    },
                },
            )
            answers = await self._get(f"{query['Path']}/answers?expand&simplify")
            position = {str(item.get("StudyInstanceUID", "")): index for index, item in enumerate(answers)}
            for study in matching_studies(accession, [_answer(item) for item in answers]):
                await self._move(f"{query['Path']}/answers/{position[study.uid]}/retrieve")
                await self._download(study, intake)

    async def release(self, project_id: UUID, accession: str) -> None:
        check_accession(accession)  # a wildcard here would empty the staging Orthanc
        async with self._errors():
            found = await self._post(
                "/tools/find", {"Level": "Study", "Query": {"AccessionNumber": accession}, "Expand": True}
            )
            for study in found:
                if str(study["MainDicomTags"].get("AccessionNumber", "")).strip() == accession:
                    await self._call("DELETE", f"/studies/{study['ID']}")

    async def _move(self, retrieve: str) -> None:
        job = await self._post(retrieve, {"TargetAet": self._orthanc.ae_title, "Synchronous": False})
        path, pause = f"/jobs/{job['ID']}", _FIRST_POLL_SECONDS
        finished = False
        try:
            while True:
                state = await self._get(path)
                if state["State"] in {"Success", "Failure"}:
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_POLL_SECONDS)
            finished = True
        finally:
            if not finished:
                await asyncio.shield(self._call("POST", f"{path}/cancel"))
        if state["State"] == "Failure":
            raise StoreUnavailable(
                f"the PACS did not send the study: {state.get('ErrorDescription', 'no reason')} "
                f"(Orthanc error {state.get('ErrorCode', '?')}); does it know AE title {self._orthanc.ae_title}?"
            )

    async def _download(self, study: FoundStudy, intake: Intake) -> None:
        assert self._client is not None  # noqa: S101 - `_errors` made sure
        path = f"/dicom-web/studies/{study.uid}"
        async with self._client.stream("GET", path, headers={"Accept": _WADO_ACCEPT}) as response:
            if response.status_code == 404:
                raise StoreUnavailable("no instance of the study arrived in the staging Orthanc")
            _check(response)
            boundary = boundary_of(response.headers.get("content-type", ""))
            prefix = study.uid
            received = await write_parts(response.aiter_raw(), boundary, intake, prefix)
        check_complete(study, received)

    async def _get(self, path: str) -> Any:
        return (await self._call("GET", path)).json()

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return (await self._call("POST", path, json=body)).json()

    async def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        assert self._client is not None  # noqa: S101 - `_errors` made sure
        response = await self._client.request(method, path, **options)
        _check(response)
        return response

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        if self._client is None:
            raise StoreUnavailable("the Orthanc store is not started")
        try:
            yield
        except httpx.HTTPError as error:
            raise StoreUnavailable(
                f"staging Orthanc at {self._orthanc.url} does not answer ({type(error).__name__})"
            ) from None
        except MultipartError as error:
            raise StoreUnavailable(f"staging Orthanc broke off: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"staging Orthanc answered in a form not known ({type(error).__name__})") from None


def _answer(item: dict[str, Any]) -> tuple[str, str, str]:
    return (
        str(item.get("AccessionNumber", "")),
        str(item.get("StudyInstanceUID", "")),
        str(item.get("NumberOfStudyRelatedInstances", "")),
    )


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    path, status = response.request.url.path, response.status_code
    if status in {401, 403}:
        raise StoreError(f"staging Orthanc refused {path} ({status}): check ORTHANC_USERNAME and ORTHANC_PASSWORD")
    if status == 404 and path.startswith("/modalities/"):
        raise StoreError(f"staging Orthanc has no {path} ({status}): check ORTHANC_PACS and its DicomModalities")
    raise StoreUnavailable(f"staging Orthanc answered {status} to {response.request.method} {path}")

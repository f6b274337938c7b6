"""Small real HTTP services that answer as data-access-api, imaging-api and the hub do, with faults on order."""

import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from flip import FLIP
from flip_common.web import Problem, install

PROJECT = "6f1c1a52-6a0f-4d58-9a3c-0d0a4f5a1b11"
MODEL = "0b7b9a86-52d5-4b8e-8f0e-2f6a3a7d2c22"
KEY = "a-service-key-of-some-length"


def study_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@dataclass
class Service:
    """What the stand-in saw and what it is to answer. `faults` are used up one a request: a status, or "drop"."""

    url: str = ""
    faults: list[int | str] = field(default_factory=list)
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    table: dict[str, Any] = field(default_factory=dict)
    studies: dict[str, bytes] = field(default_factory=dict)


def build(service: Service) -> FastAPI:
    app = FastAPI()
    install(app)

    async def seen(request: Request) -> Response | None:
        body = await request.body()
        service.calls.append((request.method, request.url.path, dict(request.query_params), body))
        headers = request.headers
        service.keys.append(headers.get("x-trust-internal-service-key") or headers.get("x-internal-service-key"))
        if service.keys[-1] != KEY:
            raise Problem(401, "unauthenticated", "the service key is missing")
        fault = service.faults.pop(0) if service.faults else None
        if fault == "drop":
            # Fewer bytes than announced: uvicorn cuts the connection, as a dying service does.
            return Response(b"half", headers={"Content-Length": "1000"})
        if isinstance(fault, int):
            raise Problem(fault, f"fault_{fault}", f"told to answer {fault}")
        return None

    @app.post("/cohort/dataframe")
    async def dataframe(request: Request) -> Any:
        return await seen(request) or JSONResponse(service.table)

    @app.get("/studies/{accession}/files")
    async def files(accession: str, request: Request) -> Response:
        if dropped := await seen(request):
            return dropped
        if accession not in service.studies:
            raise Problem(404, "study_not_available", "state MISSING: the PACS does not know it")
        return Response(service.studies[accession], media_type="application/zip")

    @app.api_route("/{path:path}", methods=["PUT", "POST"])
    async def anything(path: str, request: Request) -> Response:
        return await seen(request) or JSONResponse({"path": path})

    return app


@contextmanager
def serving(**options: Any) -> Iterator[Service]:
    """The stand-in on a port of the system's choice; options are uvicorn's."""
    state = Service()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        scheme = "https" if "ssl_certfile" in options else "http"
        state.url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(build(state), log_level="critical", ws="none", lifespan="off", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield state
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as state:
        yield state


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting; how long the pauses are has a test of its own."""
    monkeypatch.setattr("flip.http.time.sleep", lambda _: None)


@pytest.fixture
def site(service: Service, tmp_path: Path, quick_retries: None) -> FLIP:
    return FLIP(
        {
            "DATA_ACCESS_API_URL": service.url,
            "IMAGING_API_URL": service.url,
            "TRUST_INTERNAL_SERVICE_KEY": KEY,
            "IMAGES_DIR": str(tmp_path / "images"),
        }
    )


@pytest.fixture
def server(service: Service, quick_retries: None) -> FLIP:
    return FLIP({"FLIP_API_INTERNAL_URL": f"{service.url}/api/internal", "INTERNAL_SERVICE_KEY": KEY})


@pytest.fixture
def laptop(tmp_path: Path) -> FLIP:
    """A laptop with accessions A1 (image and label), A2 (image only) and, in the CSV only, A3."""
    images = tmp_path / "dev"
    for name in ("A1/input_1.nii.gz", "A1/label_1.nii.gz", "A2/input_1.nii.gz"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(b"nifti")
    (tmp_path / "cohort.csv").write_text("accession_id,age\nA1,50\nA2,60\nA3,70\nA1,50\n")
    return FLIP(
        {
            "LOCAL_DEV": "true",
            "DEV_DATAFRAME": str(tmp_path / "cohort.csv"),
            "DEV_IMAGES_DIR": str(images),
            "DEV_OUTPUT_DIR": str(tmp_path / "out"),
        }
    )

"""A model's app: received, checked, kept; and what it declares."""

from asyncio import to_thread
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request

from flip_common.appcheck import DEFAULT_LIMITS, Report, UnsafeArchiveError, check_dir, safe_extract
from flip_common.appcheck.archive import app_files
from flip_common.appcheck.config import PLACEHOLDERS, read_config
from flip_common.appcheck.report import Collector
from flip_common.web import Problem, not_found
from flip_common.wire import ModelStatus
from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.models.files import FileName, Kind, Spooled
from flip_hub.models.files.receiving import discard, explained, receive
from flip_hub.models.leftovers import drop_unused, sent
from flip_hub.models.schemas import AppOut
from flip_hub.models.service import get_model
from flip_hub.models.tables import Model
from flip_hub.projects.access import Access
from flip_hub.state import Hub


async def upload(session: AsyncSession, hub: Hub, principal: Principal, model_id: UUID, request: Request) -> AppOut:
    """Receives an app (zip), checks it, and puts it in place of an earlier one, all or nothing.

    The session's transaction ends before the body is read, so that a slow upload holds no connection.

    Raises:
        Problem: 404, 403, 409 `already_started`, 413, 422 `app_refused` with the findings, 503, 507.
    """
    _must_be_pending(await get_model(session, principal, model_id, Access.WORK))
    await session.commit()
    spooled = await receive(hub.files.spool(model_id), request, hub.settings.hub_app_max_bytes)
    try:
        report, declared = await to_thread(_examine, spooled.path)
        if not report.ok:
            findings = report.as_dict()["findings"]
            detail = "; ".join(str(finding) for finding in report.findings[:5])
            raise Problem(422, "app_refused", detail, findings=findings)
        name = FileName(model_id, Kind.APP, spooled.sha256)
        async with sent(hub, name, spooled):
            earlier = await _replace(hub, principal, name, spooled, {**report.as_dict(), "run_config": declared})
    finally:
        await discard(spooled)
    if earlier is not None and earlier != spooled.sha256:
        await drop_unused(hub, FileName(model_id, Kind.APP, earlier))
    async with hub.db.transaction() as fresh:
        return await describe(fresh, principal, model_id)


async def _replace(
    hub: Hub, principal: Principal, name: FileName, spooled: Spooled, report: dict[str, Any]
) -> str | None:
    """Writes the row that names the file; returns the SHA-256 of the app it replaces."""
    model_id = name.model_id
    async with hub.db.transaction() as session:
        model = await get_model(session, principal, model_id, Access.WORK, lock=True)
        _must_be_pending(model)
        earlier = model.app_sha256
        model.app_sha256, model.app_bytes, model.app_report = name.sha256, spooled.bytes, report
        model.app_uploaded_by, model.app_uploaded_at = principal.user_id, utcnow()
        after = {"app_sha256": name.sha256, "bytes": spooled.bytes}
        await record(session, principal, "model.app", "model", model_id, {"app_sha256": earlier}, after)
        await hub.files.keep(name, spooled)
    return earlier


def _must_be_pending(model: Model) -> None:
    if model.status is not ModelStatus.PENDING:
        raise Problem(
            409,
            "already_started",
            f"the model is {model.status}: what it ran with stays as it is; make a new model for another app",
        )


def _examine(path: Path) -> tuple[Report, dict[str, Any]]:
    """Checks the app, and reads the run-config keys and defaults it declares."""
    try:
        with TemporaryDirectory(dir=path.parent, prefix="check-") as scratch, path.open("rb") as file:
            try:
                root = safe_extract(file, Path(scratch) / "app")
            except UnsafeArchiveError as error:
                return error.report, {}
            report = check_dir(root)
            config = read_config(app_files(root), DEFAULT_LIMITS, Collector())
            return report, dict(config.run_config) if config else {}
    except OSError as error:
        raise explained(error) from error


async def describe(session: AsyncSession, principal: Principal, model_id: UUID) -> AppOut:
    """The app and the report of its check.

    Raises:
        Problem: 404 (also when no app was uploaded).
    """
    model = await get_model(session, principal, model_id, Access.SEE)
    if model.app_sha256 is None:
        raise not_found("app of model", model_id)
    return AppOut.model_validate(
        {
            "model_id": model.id,
            "sha256": model.app_sha256,
            "bytes": model.app_bytes,
            "uploaded_at": model.app_uploaded_at,
            "uploaded_by": model.app_uploaded_by,
            "report": model.app_report,
        }
    )


def check_run_config(model: Model, run_config: dict[str, bool | int | float | str]) -> None:
    """Refuses what the app does not declare, what the platform sets itself, and values of another type.

    Raises:
        Problem: 422 `invalid_run_config`, naming each key.
    """
    declared = (model.app_report or {}).get("run_config", {})
    problems = []
    for key, value in run_config.items():
        if key in PLACEHOLDERS:
            problems.append(f"{key} is set by the platform; leave it out")
        elif key not in declared:
            known = ", ".join(sorted(set(declared) - set(PLACEHOLDERS))) or "none"
            problems.append(f"{key} is not declared in [tool.flwr.app.config] of the app; declared are: {known}")
        elif not _fits(value, declared[key]):
            wanted, given = type(declared[key]).__name__, type(value).__name__
            problems.append(f"{key} is declared as {wanted}, {value!r} is {given}")
    if problems:
        raise Problem(422, "invalid_run_config", "; ".join(problems), problems=problems)


def _fits(value: object, declared: object) -> bool:
    return type(value) is type(declared) or (type(value) is int and type(declared) is float)

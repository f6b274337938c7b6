"""What the FL server calls. Mounted under `/api/internal`, behind the internal service key."""

from uuid import UUID

from fastapi import APIRouter, Request, status

from flip_common.wire import SiteException
from flip_hub.db import Session
from flip_hub.models import runs
from flip_hub.models.schemas import Filename, MetricsBody, ResultOut, StatusClaim
from flip_hub.state import HubState

router = APIRouter(prefix="/models/{model_id}", tags=["internal"])


@router.put("/status")
async def put_status(session: Session, model_id: UUID, body: StatusClaim) -> StatusClaim:
    """The app's word for how far it is; answers the model's status."""
    return StatusClaim(status=await runs.claim(session, model_id, body.status))


@router.post("/metrics", status_code=status.HTTP_204_NO_CONTENT)
async def post_metrics(session: Session, model_id: UUID, body: MetricsBody) -> None:
    """Metrics of taking-part trusts; repeating is harmless."""
    await runs.add_metrics(session, model_id, body.points)


@router.post("/exceptions", status_code=status.HTTP_204_NO_CONTENT)
async def post_exception(session: Session, model_id: UUID, body: SiteException) -> None:
    """An exception as a code and a digest."""
    await runs.add_exception(session, model_id, body)


@router.put("/results/{filename:path}")
async def put_result(
    hub: HubState,
    model_id: UUID,
    filename: Filename,
    request: Request,
) -> ResultOut:
    """A result file as the raw body; sending one again replaces it."""
    return await runs.receive_result(hub, model_id, filename, request)

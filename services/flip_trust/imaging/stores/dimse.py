"""Any PACS: C-FIND and C-MOVE to a storage SCP of our own."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from uuid import UUID

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from flip_trust.imaging.intake import Intake
from flip_trust.imaging.store import FoundStudy, ImagingStore, StoreError, StoreUnavailable
from flip_trust.imaging.stores.landing import Landing, Peer, TlsFiles, no_delay
from flip_trust.imaging.stores.matching import check_complete, matching_studies

__all__ = ["DimseStore", "Peer", "TlsFiles"]

MAX_ASSOCIATIONS = 64
_PENDING = frozenset({0xFF00, 0xFF01})
_SUCCESS, _SUCCESS_WITH_FAILURES = 0x0000, 0xB000
# The PACS is short of something for now: out of resources, busy, cannot open its sub-association.
_TRANSIENT = frozenset({0xA700, 0xA701, 0xA702, 0xC000, 0xFE00, 0x0122})

log = logging.getLogger(__name__)


@dataclass
class _Counts:
    completed: int | None = None
    failed: int = 0


class DimseStore(ImagingStore):
    """Asks the PACS for the study and has it sent here. The PACS must know `own` as a move destination."""

    def __init__(self, *, pacs: Peer, own: Peer, timeout_seconds: float, tls: TlsFiles | None = None) -> None:
        self._pacs, self._own, self._tls, self._timeout = pacs, own, tls, timeout_seconds
        self._landing = Landing(own, pacs.ae_title, timeout_seconds, tls)
        self._threads = ThreadPoolExecutor(MAX_ASSOCIATIONS, thread_name_prefix="dimse")

    async def start(self) -> None:
        await asyncio.to_thread(self._landing.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._landing.stop)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, project_id: UUID, accession: str, intake: Intake) -> None:
        stopped = Event()
        loop = asyncio.get_running_loop()
        fetching = loop.run_in_executor(self._threads, self._fetch, accession, intake, stopped)
        try:
            await asyncio.shield(fetching)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.wait([fetching])
            raise

    def _fetch(self, accession: str, intake: Intake, stopped: Event) -> None:
        with self._associated() as association:
            studies = matching_studies(accession, self._find(association, accession))
            for study in studies:
                self._move(association, study, intake, stopped)

    @contextmanager
    def _associated(self) -> Iterator[Association]:
        application = AE(ae_title=self._own.ae_title)
        application.acse_timeout = application.dimse_timeout = application.network_timeout = self._timeout
        application.connection_timeout = self._timeout
        application.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        application.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        tls = (self._tls.client(), self._pacs.host) if self._tls else None
        pacs = self._pacs
        where = f"PACS {pacs.ae_title} at {pacs.host}:{pacs.port}"
        association = application.associate(
            pacs.host, pacs.port, ae_title=pacs.ae_title, tls_args=tls, evt_handlers=[no_delay()]
        )
        if not association.is_established:
            why = "refused the association: does it know our AE title?" if association.is_rejected else "is away"
            raise StoreUnavailable(f"{where} {why}")
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _find(self, association: Association, accession: str) -> list[tuple[str, str, str]]:
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.AccessionNumber = accession
        query.StudyInstanceUID = ""
        query.NumberOfStudyRelatedInstances = ""
        answers = []
        for status, answer in _ask(lambda: association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)):
            code = _code(status, "C-FIND")
            if code in _PENDING and answer is not None:
                answers.append(
                    (
                        str(answer.get("AccessionNumber", "") or ""),
                        str(answer.get("StudyInstanceUID", "") or ""),
                        str(answer.get("NumberOfStudyRelatedInstances", "") or ""),
                    )
                )
            elif code != _SUCCESS:
                _refuse("C-FIND", code)
        return answers

    def _move(self, association: Association, study: FoundStudy, intake: Intake, stopped: Event) -> None:
        query = Dataset()
        query.QueryRetrieveLevel = "STUDY"
        query.StudyInstanceUID = study.uid
        counts = _Counts()
        with self._landing.expect(study.uid, intake) as arrival:
            for status, _ in _ask(
                lambda: association.send_c_move(query, self._own.ae_title, StudyRootQueryRetrieveInformationModelMove)
            ):
                if stopped.is_set():
                    association.abort()
                    return
                if arrival.error is not None:
                    association.abort()
                    raise arrival.error
                code = _code(status, "C-MOVE")
                counts.completed = status.get("NumberOfCompletedSuboperations", counts.completed)
                counts.failed = status.get("NumberOfFailedSuboperations", 0) or counts.failed
                if code not in _PENDING | {_SUCCESS, _SUCCESS_WITH_FAILURES}:
                    _refuse("C-MOVE", code)
        if counts.failed:
            raise StoreUnavailable(f"the PACS could not send {counts.failed} of the study's instances")
        received = len(arrival.instances)
        if counts.completed is not None and received < counts.completed:
            raise StoreUnavailable(f"the PACS says it sent {counts.completed} instances, {received} arrived")
        check_complete(study, received)


def _ask(
    send: Callable[[], Iterator[tuple[Dataset, Dataset | None]]],
) -> Iterator[tuple[Dataset, Dataset | None]]:
    try:
        yield from send()
    except RuntimeError:
        raise StoreUnavailable("the association with the PACS was closed") from None
    except ValueError as error:
        raise StoreError(f"the PACS does not offer what is needed: {error}") from None


def _code(status: Dataset, operation: str) -> int:
    if "Status" not in status:
        raise StoreUnavailable(f"the PACS broke off, or was silent too long, during {operation}")
    return int(status.Status)


def _refuse(operation: str, code: int) -> None:
    kind = StoreUnavailable if code in _TRANSIENT else StoreError
    hint = ": does it know our AE title, host and port?" if code == 0xA801 else ""
    raise kind(f"the PACS ended {operation} with status 0x{code:04X}{hint}")

"""The query-retrieve plugin's DICOM: C-FIND and C-MOVE at the PACS, and the receivers it sends to."""

import time
from threading import Event, Thread
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from flip_trust.imaging.stores.landing import no_delay
from xnat_stand_in.archive import Archive
from xnat_stand_in.state import State, now

_REFUSED = 0xA900
_PENDING = (0xFF00, 0xFF01)


class Unreachable(Exception):  # noqa: N818 - the name says what is so
    """The PACS does not answer."""


class Dimse:
    def __init__(self, state: State, archive: Archive, host: str) -> None:
        self._state, self._archive, self._host = state, archive, host
        self._receivers: dict[tuple[str, int], Any] = {}
        self._arriving: dict[str, dict[str, Any]] = {}
        self._stopped, self._wake = Event(), Event()
        self._worker = Thread(target=self._work, name="dqr", daemon=True)

    def start(self) -> None:
        with self._state.change() as document:
            for row in document["history"]:
                if row["status"] == "ISSUED":  # it was on its way when the stand-in was stopped
                    row["status"] = "FAILED"
        for row in [item for item in self._state.document["prearchive"] if item["status"] == "RECEIVING"]:
            self._archive.build(row)
        self.listen()
        self._wake.set()  # for orders that waited when it was stopped
        self._worker.start()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()
        self._worker.join()
        while self._receivers:
            self._receivers.popitem()[1].shutdown()

    def listen(self) -> None:
        """Receivers listen as they are configured now."""
        wanted = {(item["aeTitle"], item["port"]) for item in self._state.document["receivers"] if item["enabled"]}
        for key in set(self._receivers) - wanted:
            self._receivers.pop(key).shutdown()
        for title, port in wanted - set(self._receivers):
            application = AE(ae_title=title)
            application.require_called_aet = True
            application.maximum_pdu_size = 0
            for context in AllStoragePresentationContexts:
                application.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
            application.add_supported_context(Verification)
            handlers: list[Any] = [(evt.EVT_C_STORE, self._store), no_delay()]
            self._receivers[title, port] = application.start_server(
                (self._host, port), block=False, evt_handlers=handlers
            )

    def wake(self) -> None:
        """There is an order."""
        self._wake.set()

    def echo(self, pacs: dict[str, Any]) -> bool:
        try:
            association = self._associate(pacs, Verification)
        except Unreachable:
            return False
        try:
            return association.send_c_echo().get("Status") == 0
        finally:
            association.release()

    def find(self, pacs: dict[str, Any], level: str, **keys: str) -> list[Dataset]:
        query = Dataset()
        query.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(query, keyword, value)
        association = self._associate(pacs, StudyRootQueryRetrieveInformationModelFind)
        try:
            answers = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
            return [found for status, found in answers if status and status.Status in _PENDING and found]
        finally:
            association.release()

    def _associate(self, pacs: dict[str, Any], context: Any) -> Any:
        application = AE(ae_title=self._state.document["dqr"]["dqrCallingAe"] or "XNAT")
        application.add_requested_context(context)
        application.acse_timeout = application.dimse_timeout = application.network_timeout = 20
        association = application.associate(pacs["host"], pacs["queryRetrievePort"], ae_title=pacs["aeTitle"])
        if not association.is_established:
            raise Unreachable(pacs["aeTitle"])
        return association

    def _work(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            while not self._stopped.is_set() and (order := self._next()):
                self._retrieve(order)

    def _next(self) -> dict[str, Any] | None:
        with self._state.change() as document:
            if not document["queue"]:
                return None
            queued = document["queue"].pop(0)
            order = {**queued, "id": self._state.number(), "status": "ISSUED", "executedTime": now()}
            document["history"].insert(0, order)
            return order  # type: ignore[no-any-return]

    def _retrieve(self, order: dict[str, Any]) -> None:
        document = self._state.document
        row: dict[str, Any] = {
            "project": order["xnatProject"],
            "name": order["relabelMap"].get("Session") or order["accessionNumber"],
            "subject": order["relabelMap"].get("Subject") or order["accessionNumber"],
            "timestamp": time.strftime("%Y%m%d_%H%M%S") + f"{order['id']:03d}",
            "status": "RECEIVING",
            "received": 0,
        }
        row["url"] = f"/prearchive/projects/{row['project']}/{row['timestamp']}/{row['name']}"
        self._arriving[order["studyInstanceUid"]] = row
        pacs = next((item for item in document["pacs"] if item["id"] == order["pacsId"]), None)
        moved = pacs is not None and self._move(pacs, order["studyInstanceUid"], order["destinationAeTitle"])
        del self._arriving[order["studyInstanceUid"]]
        with self._state.change():
            order["status"] = "RECEIVED" if moved else "FAILED"
        if row["received"]:
            self._archive.build(row)

    def _move(self, pacs: dict[str, Any], study: str, destination: str) -> bool:
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study
        try:
            association = self._associate(pacs, StudyRootQueryRetrieveInformationModelMove)
        except Unreachable:
            return False
        last = None
        for status, _ in association.send_c_move(query, destination, StudyRootQueryRetrieveInformationModelMove):
            last = status
        if association.is_established:
            association.release()
        return last is not None and last.get("Status") == 0

    def _store(self, event: Any) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        row = self._arriving.get(str(dataset.StudyInstanceUID))
        if row is None:
            return _REFUSED
        if not row["received"]:
            with self._state.change() as document:
                document["prearchive"].append(row)
        row["received"] += 1
        # Relabelling is what the receiver's custom processing does.
        dataset.PatientID = dataset.PatientName = row["subject"]
        self._archive.receive(row, dataset)
        return 0

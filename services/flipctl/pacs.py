"""A small hospital PACS over a folder of DICOM files: `python -m flipctl.pacs`.

For the demo and for tests on machines without a PACS. It answers C-ECHO, C-FIND and C-MOVE at study and series
level, and takes C-STORE from the peers it was told of. It is no archive for patients' images.
"""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import pydicom
import typer
from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from flip_common.logs import configure_logging
from flip_trust.imaging.stores.folder import FolderIndex
from flip_trust.imaging.stores.landing import Peer, no_delay

SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
OUT_OF_RESOURCES, IDENTIFIER_MISMATCH = 0xA700, 0xA900
MAX_CONTEXTS = 128
_STUDY_KEYS = ("AccessionNumber", "StudyInstanceUID", "StudyDate", "PatientID")
_SERIES_KEYS = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription")

log = logging.getLogger(__name__)


class Pacs:
    """The PACS. `port` is the one it really listens on; give 0 to have one chosen."""

    def __init__(self, ae_title: str, folder: Path, peers: list[Peer], *, host: str, port: int) -> None:
        self._index = FolderIndex(folder)
        self._peers = {peer.ae_title: peer for peer in peers}
        self._headers: dict[tuple[Path, tuple[int, int]], Dataset] = {}
        application = AE(ae_title=ae_title)
        application.require_called_aet = True
        application.require_calling_aet = sorted(self._peers)
        application.maximum_pdu_size = 0
        for context in AllStoragePresentationContexts:
            application.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        for query in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            application.add_supported_context(query)
        handlers = [
            (evt.EVT_C_ECHO, lambda _: SUCCESS),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_C_STORE, self._store),
            no_delay(),
        ]
        self._server: Any = application.start_server((host, port), block=False, evt_handlers=handlers)
        self.port: int = self._server.socket.getsockname()[1]

    def stop(self) -> None:
        """Stops listening and drops the associations."""
        self._server.shutdown()

    def _instances(self) -> Iterator[tuple[Path, Dataset]]:
        headers = {}
        for file in self._index.refresh():
            key = (file.path, file.stamp)
            headers[key] = self._headers.get(key) or pydicom.dcmread(file.path, stop_before_pixels=True)
            yield file.path, headers[key]
        self._headers = headers

    def _matching(self, query: Dataset) -> list[tuple[Path, Dataset]]:
        keys = ("AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID")
        asked = {key: _values(query, key) for key in keys}
        return [
            (path, header)
            for path, header in self._instances()
            if all(not wanted or str(header.get(key, "")) in wanted for key, wanted in asked.items())
        ]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = str(query.get("QueryRetrieveLevel", ""))
        if level not in {"STUDY", "SERIES"}:
            yield IDENTIFIER_MISMATCH, None
            return
        unit = "StudyInstanceUID" if level == "STUDY" else "SeriesInstanceUID"
        groups: dict[str, list[Dataset]] = {}
        for _, header in self._matching(query):
            groups.setdefault(str(header[unit].value), []).append(header)
        for group in groups.values():
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, _answer(level, group)

    def _move(self, event: Any) -> Iterator[Any]:
        peer = self._peers.get(str(event.move_destination).strip())
        if peer is None:
            yield None, None
            return
        found = self._matching(event.identifier)
        yield peer.host, peer.port, {"contexts": _contexts([header for _, header in found])}
        yield len(found)
        for path, _ in found:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, pydicom.dcmread(path)

    def _store(self, event: Any) -> int:
        name = f"{event.request.AffectedSOPInstanceUID}.dcm"
        if not name.replace(".", "").isalnum():
            return IDENTIFIER_MISMATCH
        part = self._index.root / f"{name}.part"
        try:
            part.write_bytes(event.encoded_dataset())
            part.replace(self._index.root / name)
        except OSError:
            log.exception("an instance could not be written")
            return OUT_OF_RESOURCES
        return SUCCESS


def _values(query: Dataset, keyword: str) -> set[str]:
    value = query.get(keyword)
    values = value if isinstance(value, (list, pydicom.multival.MultiValue)) else [value]
    return {str(item) for item in values if item not in {None, ""}}


def _answer(level: str, group: list[Dataset]) -> Dataset:
    first, answer = group[0], Dataset()
    answer.QueryRetrieveLevel = level
    for keyword in _STUDY_KEYS if level == "STUDY" else (*_STUDY_KEYS, *_SERIES_KEYS):
        setattr(answer, keyword, first.get(keyword, ""))
    if level == "STUDY":
        answer.ModalitiesInStudy = sorted({str(item.get("Modality", "")) for item in group})
        answer.NumberOfStudyRelatedSeries = len({item.SeriesInstanceUID for item in group})
        answer.NumberOfStudyRelatedInstances = len(group)
    else:
        answer.NumberOfSeriesRelatedInstances = len(group)
    return answer


def _contexts(headers: list[Dataset]) -> list[PresentationContext]:
    pairs = {(str(item.SOPClassUID), str(item.file_meta.TransferSyntaxUID)) for item in headers}
    # With nothing to send a context is needed all the same to associate.
    return [build_context(*pair) for pair in sorted(pairs)[:MAX_CONTEXTS]] or [build_context(Verification)]


def parse_peer(text: str) -> Peer:
    """Reads `AET=HOST:PORT`.

    Raises:
        typer.BadParameter: it is written otherwise.
    """
    ae_title, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not (ae_title and host and port.isdigit()):
        raise typer.BadParameter(f"peer {text!r}: write it as AET=HOST:PORT, such as STAGING=127.0.0.1:4242")
    return Peer(ae_title, host, int(port))


def main(
    aet: Annotated[str, typer.Option(help="AE title.")],
    folder: Annotated[Path, typer.Option(help="Folder of DICOM files.", exists=True, file_okay=False)],
    peer: Annotated[list[str], typer.Option(help="AET=HOST:PORT that may query, and be moved to; repeatable.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 chooses one.")] = 0,
) -> None:
    """Serves the folder as a PACS until SIGTERM.

    Example: python -m flipctl.pacs --aet PACS --port 4242 --folder dicom --peer STAGING=127.0.0.1:4243
    """
    configure_logging("pacs")
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    pacs = Pacs(aet, folder, [parse_peer(item) for item in peer], host=host, port=port)
    log.info("PACS %s listens on %s:%d", aet, host, pacs.port)
    ended = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ended.set())
    ended.wait()
    pacs.stop()


if __name__ == "__main__":
    typer.run(main)

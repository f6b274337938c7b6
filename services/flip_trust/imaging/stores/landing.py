"""The storage SCP that a PACS sends studies to."""

import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import pydicom
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
from pynetdicom.sop_class import Verification

from flip_trust.imaging.store import StoreError

# Status codes of C-STORE (DICOM PS3.4 B.2.3): taken, no room, not one we asked for.
_STORED, _OUT_OF_RESOURCES, _NOT_AUTHORISED = 0x0000, 0xA700, 0x0124
_UID = re.compile(r"[0-9.]{1,64}")
MAX_ASSOCIATIONS = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peer:
    """A DICOM application: its AE title and where it listens."""

    ae_title: str
    host: str
    port: int


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for DICOM over TLS; both sides prove who they are."""

    ca: Path
    certificate: Path
    key: Path

    def client(self) -> ssl.SSLContext:
        """For associations that we open."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def server(self) -> ssl.SSLContext:
        """For associations that the PACS opens."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass
class Arrival:
    """A study on its way: where it goes, what has come, and the disk's error if one stopped it."""

    folder: Path
    instances: set[str] = field(default_factory=set)
    error: OSError | None = None


def no_delay() -> tuple[Any, Callable[[Any], None]]:
    """An event handler that switches Nagle's algorithm off: with it every C-STORE waits 40 ms for an ACK."""

    def on_open(event: Any) -> None:
        transport = event.assoc.dul.socket.socket
        if transport is not None:
            transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    return (evt.EVT_CONN_OPEN, on_open)


class Landing:
    """Takes the instances of studies that were asked for, from one AE title; all others are refused."""

    def __init__(self, own: Peer, sender: str, timeout_seconds: float, tls: TlsFiles | None) -> None:
        self._own, self._tls = own, tls
        self._arrivals: dict[str, Arrival] = {}
        self._lock = Lock()
        self._server: Any = None
        # Scanners send private SOP classes; an archive that refuses them gets incomplete studies.
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        self._application = AE(ae_title=own.ae_title)
        self._application.require_called_aet = True
        self._application.require_calling_aet = [sender]
        self._application.maximum_associations = MAX_ASSOCIATIONS
        self._application.acse_timeout = self._application.dimse_timeout = timeout_seconds
        self._application.network_timeout = timeout_seconds
        self._application.maximum_pdu_size = 0
        for context in AllStoragePresentationContexts:
            self._application.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        self._application.add_supported_context(Verification)

    def start(self) -> None:
        """Listens.

        Raises:
            StoreError: the port is taken, or the TLS files cannot be used.
        """
        own = self._own
        try:
            self._server = self._application.start_server(
                (own.host, own.port),
                block=False,
                ssl_context=self._tls.server() if self._tls else None,
                evt_handlers=[(evt.EVT_C_STORE, self._store), no_delay()],
            )
        except OSError as error:
            raise StoreError(
                f"cannot listen for the PACS on {own.host}:{own.port} ({error.strerror}): free the port, or set "
                "IMAGING_AE_PORT, and check the DICOM TLS files if there are any"
            ) from None

    def stop(self) -> None:
        """Stops listening and drops what is coming in."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    @contextmanager
    def expect(self, study_uid: str, folder: Path) -> Iterator[Arrival]:
        """Lets instances of this study in, to `folder`, until the end of the block."""
        with self._lock:
            if study_uid in self._arrivals:
                raise StoreError("this study is on its way already, under another accession number")
            arrival = self._arrivals[study_uid] = Arrival(folder)
        try:
            yield arrival
        finally:
            with self._lock:
                del self._arrivals[study_uid]
        if arrival.error is not None:
            raise arrival.error

    def _store(self, event: Any) -> int:
        raw = event.encoded_dataset()
        header = pydicom.dcmread(BytesIO(raw), specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
        instance = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            arrival = self._arrivals.get(str(header.get("StudyInstanceUID", "")))
        if arrival is None or not _UID.fullmatch(instance):
            log.warning("refused an instance of a study that was not asked for")
            return _NOT_AUTHORISED
        try:
            (arrival.folder / f"{instance}.dcm").write_bytes(raw)
        except OSError as error:
            arrival.error = error
            return _OUT_OF_RESOURCES
        arrival.instances.add(instance)
        return _STORED

"""The storage SCP that a PACS sends studies to."""

import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.sop_class import Verification

from flip_trust.imaging.dicom import UnreadableFile, study_of
from flip_trust.imaging.intake import Intake
from flip_trust.imaging.store import StoreError

# Status codes of C-STORE (DICOM PS3.4 B.2.3): taken, no room, not one we asked for.
_STORED, _OUT_OF_RESOURCES, _NOT_AUTHORISED = 0x0000, 0xA700, 0x0124
_PREAMBLE = bytes(128) + b"DICM"
_UID = re.compile(r"[0-9.]{1,64}")
MAX_ASSOCIATIONS = 64
# What a peer is told it may send at once. Large enough for a slice, and held in memory several times over.
MAX_PDU_BYTES = 4 << 20

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
    """A study on its way: where it goes, what has come, and the error of disk or limits if one stopped it."""

    intake: Intake
    instances: set[str] = field(default_factory=set)
    error: OSError | StoreError | None = None


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
        self._application.maximum_pdu_size = MAX_PDU_BYTES
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
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_PDU_RECV, self._watch),
                    (evt.EVT_CONN_OPEN, _limit_pdus),
                    no_delay(),
                ],
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
    def expect(self, study_uid: str, intake: Intake) -> Iterator[Arrival]:
        """Lets instances of this study in, to `intake`, until the end of the block.

        Raises:
            StoreError: the study is on its way already.
            TooLarge: a limit of `intake` was reached.
            OSError: the disk is full.
        """
        with self._lock:
            if study_uid in self._arrivals:
                raise StoreError("this study is on its way already, under another accession number")
            arrival = self._arrivals[study_uid] = Arrival(intake)
        try:
            yield arrival
        except StoreError:
            # The PACS failed because it was refused: the cause is here.
            if arrival.error is None:
                raise
        finally:
            with self._lock:
                del self._arrivals[study_uid]
        if arrival.error is not None:
            raise arrival.error

    def _store(self, event: Any) -> int:
        raw = event.encoded_dataset(include_meta=False)
        instance = str(event.request.AffectedSOPInstanceUID)
        arrival = self._arrival(raw, event.file_meta.TransferSyntaxUID)
        if arrival is None or not _UID.fullmatch(instance):
            log.warning("refused an instance of a study that was not asked for")
            return _NOT_AUTHORISED
        if arrival.error is not None:
            return _OUT_OF_RESOURCES
        try:
            with arrival.intake.open(f"{instance}.dcm") as file:
                file.write(_PREAMBLE + encode_file_meta(event.file_meta))
                file.write(raw)
        except (OSError, StoreError) as error:
            arrival.error = error
            return _OUT_OF_RESOURCES
        arrival.instances.add(instance)
        return _STORED

    def _watch(self, event: Any) -> None:
        """Breaks off an association whose instance is larger than any that is expected, before it is all here."""
        message = event.assoc.dimse.message
        if message is None:
            return
        with self._lock:
            limit = max((item.intake.limits.instance for item in self._arrivals.values()), default=0)
        if message.data_set.tell() <= limit + MAX_PDU_BYTES:
            return
        contexts = {context.context_id: context.transfer_syntax[0] for context in event.assoc.accepted_contexts}
        arrival = self._arrival(message.data_set.getvalue(), contexts.get(message.context_id, ""))
        if arrival is not None:
            arrival.error = arrival.intake.too_large()
        log.warning("broke an association off: it sends an instance of over %d bytes", limit)
        event.assoc.abort()

    def _arrival(self, dataset: bytes, transfer_syntax: str) -> Arrival | None:
        try:
            study = study_of(dataset, transfer_syntax)
        except UnreadableFile as error:
            log.warning("cannot tell the study of an instance: %s", error)
            return None
        with self._lock:
            return self._arrivals.get(study)


def _limit_pdus(event: Any) -> None:
    """Closes a connection that sends more at once than it was told it may: pynetdicom would read it all."""
    transport = event.assoc.dul.socket
    read = transport.recv

    def recv(count: int) -> bytearray:
        if count > MAX_PDU_BYTES:
            raise OSError(f"the peer sends a PDU of {count} bytes, over the {MAX_PDU_BYTES} it was told")
        received: bytearray = read(count)
        return received

    transport.recv = recv

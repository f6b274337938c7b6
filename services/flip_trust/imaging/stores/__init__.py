"""The stores there are, and the choice among them."""

from flip_trust.imaging.settings import ImagingSettings, StoreKind
from flip_trust.imaging.store import ImagingStore
from flip_trust.imaging.stores.dimse import DimseStore, Peer, TlsFiles
from flip_trust.imaging.stores.folder import FolderStore
from flip_trust.imaging.stores.orthanc import OrthancStore, StagingOrthanc
from flip_trust.imaging.stores.xnat import XnatStore
from flip_trust.imaging.stores.xnat_client import XnatServer

__all__ = [
    "DimseStore",
    "FolderStore",
    "OrthancStore",
    "Peer",
    "StagingOrthanc",
    "TlsFiles",
    "XnatServer",
    "XnatStore",
    "make_store",
]


def make_store(settings: ImagingSettings) -> ImagingStore:
    """The store that the settings name; they have been checked to be complete."""
    given = settings.model_dump(exclude_none=True)
    match settings.imaging_store:
        case StoreKind.FOLDER:
            return FolderStore(given["imaging_folder"])
        case StoreKind.DIMSE:
            tls = None
            if "pacs_tls_ca" in given:
                tls = TlsFiles(given["pacs_tls_ca"], given["pacs_tls_certificate"], given["pacs_tls_key"])
            return DimseStore(
                pacs=Peer(given["pacs_ae_title"], given["pacs_host"], given["pacs_port"]),
                own=Peer(given["imaging_ae_title"], settings.imaging_ae_host, given["imaging_ae_port"]),
                timeout_seconds=settings.pacs_timeout_seconds,
                tls=tls,
            )
        case StoreKind.ORTHANC:
            return OrthancStore(
                StagingOrthanc(
                    url=str(settings.orthanc_url).rstrip("/"),
                    username=given["orthanc_username"],
                    password=given["orthanc_password"],
                    pacs=given["orthanc_pacs"],
                    ae_title=given["orthanc_ae_title"],
                    ca=settings.orthanc_ca,
                ),
                timeout_seconds=settings.pacs_timeout_seconds,
            )
        case StoreKind.XNAT:
            return XnatStore(
                XnatServer(
                    url=str(settings.xnat_url).rstrip("/"),
                    username=given["xnat_username"],
                    password=given["xnat_password"],
                    pacs=given["xnat_pacs"],
                    ae_title=given["xnat_ae_title"],
                    ae_port=given["xnat_ae_port"],
                    ca=settings.xnat_ca,
                ),
                timeout_seconds=settings.pacs_timeout_seconds,
                import_seconds=settings.xnat_import_seconds,
            )

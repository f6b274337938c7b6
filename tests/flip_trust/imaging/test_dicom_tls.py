"""DICOM over TLS, both sides with a certificate."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from imaging_service import dimse_settings

from flip_trust.imaging.stores import Peer

PROJECT = uuid4()

# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


@pytest.mark.orthanc
async def test_dicom_over_tls_both_ways(
    orthanc_of: Any, tls_files: Any, service_of: Any, make: Any, tmp_path: Path, own: Peer
) -> None:
    theirs, ours = tls_files("pacs"), tls_files("flip")
    rights = dict.fromkeys(("AllowEcho", "AllowFind", "AllowMove", "AllowStore"), True)
    modality = {"AET": own.ae_title, "Host": "localhost", "Port": own.port, "UseDicomTls": True, **rights}
    pacs = orthanc_of(
        {"flip": modality},
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(theirs.certificate),
        DicomTlsPrivateKey=str(theirs.key),
        DicomTlsTrustedCertificates=str(theirs.ca),
        DicomTlsRemoteCertificateRequired=True,
    )
    phantom = make.series(tmp_path / "made", "A1", slices=3)
    pacs.upload(phantom.files)
    settings = {**dimse_settings(pacs.dicom_port, own), "pacs_host": "localhost"}
    settings |= {
        "pacs_tls_ca": ours.ca,
        "pacs_tls_certificate": ours.certificate,
        "pacs_tls_key": ours.key,
    }
    async with service_of(**settings) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert (study["state"], study["images"]) == ("IMPORTED", 3)

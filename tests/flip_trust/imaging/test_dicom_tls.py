"""DICOM over TLS, both sides with a certificate."""

import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from imaging_service import dimse_settings

from flip_trust.imaging.stores import Peer, TlsFiles

PROJECT = uuid4()

# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


@pytest.fixture
def tls_files(tmp_path: Path) -> Any:
    """A CA and certificates for `localhost` by it, as PEM files."""
    folder = tmp_path / "tls"
    folder.mkdir()
    now = datetime.datetime.now(datetime.UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests CA")])

    def write(name: str, subject: x509.Name, key: Any, authority: bool) -> TlsFiles:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        certificate = builder.sign(ca_key, hashes.SHA256())
        paths = TlsFiles(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
        paths.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    write("ca", ca_name, ca_key, authority=True)

    def issue(name: str) -> TlsFiles:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return write(name, subject, ec.generate_private_key(ec.SECP256R1()), authority=False)

    return issue


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

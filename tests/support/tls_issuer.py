"""A certificate authority for tests."""

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flip_trust.imaging.stores import TlsFiles


def issuer(folder: Path) -> Callable[[str], TlsFiles]:
    """A CA and certificates for `localhost` by it, as PEM files."""
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

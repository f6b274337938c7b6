"""Certificates for a net: a small CA and server certificates under it (loopback, tests, a hub on one machine)."""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK_NAMES = ("localhost", "127.0.0.1")
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class CertificateFiles:
    """PEM files of a server certificate and of the CA that signed it. The key is readable by its owner only."""

    ca: Path
    cert: Path
    key: Path


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only its owner can read; an existing one is replaced in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True)
class Authority:
    """A CA for the servers of nets. The key is a secret."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, days: int, key: ec.EllipticCurvePrivateKey | None = None) -> "Authority":
        """A new one, with a key of its own unless there is one."""
        key, name = key or ec.generate_private_key(ec.SECP384R1()), _name("FLIP net CA")
        certificate = (
            _builder(name, name, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA384())
        )
        return cls(certificate, key)

    def issue(self, names: Iterable[str], days: int) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A server's certificate for host names or addresses, and its key."""
        key = ec.generate_private_key(ec.SECP384R1())
        issuer = self.key.public_key()
        certificate = (
            _builder(_name("FLIP FL server"), self.certificate.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
            .sign(self.key, hashes.SHA384())
        )
        return certificate, key


def make_net_certificates(folder: Path, names: Iterable[str] = (), days: int = 825) -> CertificateFiles:
    """Makes a CA and one server certificate for `localhost`, `127.0.0.1` and `names` (host names or addresses).

    The CA's private key is used once and never stored: another certificate means another CA.
    Files in `folder`: `ca.crt`, `server.crt`, `server.key` (0600). Existing ones are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority.make(days)
    certificate, key = authority.issue(dict.fromkeys((*LOOPBACK_NAMES, *names)), days)
    files = CertificateFiles(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    files.ca.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    files.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    write_private(files.key, private_pem(key))
    return files


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as unencrypted PKCS #8 PEM. A secret."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

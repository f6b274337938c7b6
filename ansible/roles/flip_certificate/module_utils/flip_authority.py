"""A small certificate authority on this host, and server certificates under it. OpenSSL 3 does the work."""

import ipaddress
import os
import re
import subprocess
import tempfile
from pathlib import Path

DAY = 24 * 3600
LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha384", "-nodes"]
CONFIG = """\
[req]
prompt = no
distinguished_name = who
[who]
CN = {common_name}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{names}
"""


class CertificateError(Exception):
    """A certificate cannot be made or used; the text says why and what to do."""


def openssl(*arguments):
    """What OpenSSL prints.

    Raises:
        CertificateError: it failed.
    """
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["without a word"]
        raise CertificateError(f"openssl {arguments[0]}: {said[0]}")
    return done.stdout


def alternative(name):
    """A host name or address as OpenSSL's configuration wants it.

    Raises:
        CertificateError: neither of these.
    """
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        if len(name) > 253 or not NAME.fullmatch(name):
            raise CertificateError(f"{name!r} is neither a host name nor an address") from None
        return f"DNS:{name.lower()}"


def names_of(certificate):
    """The names in a certificate, in the form of `alternative`."""
    shown = openssl("x509", "-noout", "-ext", "subjectAltName", "-in", certificate)
    found = re.findall(r"(DNS|IP Address):([^\s,]+)", shown)
    return {alternative(name) for _, name in found}


def lasts(certificate, days):
    """Whether it is still valid so many days from now."""
    command = ["openssl", "x509", "-noout", "-checkend", str(days * DAY), "-in", str(certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def names_host(certificate, name):
    """Whether it is for a host name or address. OpenSSL 3.5 fails where it is not, older ones only say so."""
    option = "-checkip" if alternative(name).startswith("IP:") else "-checkhost"
    command = ["openssl", "x509", "-noout", option, name, "-in", str(certificate)]
    return "does match" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def end_of(certificate):
    """When it ends, in OpenSSL's words."""
    return openssl("x509", "-noout", "-enddate", "-in", certificate).strip().removeprefix("notAfter=")


def fit(certificate, key):
    """Whether a private key belongs to a certificate. The key's content never leaves the file."""
    public = openssl("pkey", "-pubout", "-in", key)
    return public == openssl("x509", "-noout", "-pubkey", "-in", certificate)


class Authority:
    """The authority in a folder: `ca.crt`, `ca.key`, and `NAME.crt`, `NAME.key` for each server."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.certificate, self.key = self.folder / "ca.crt", self.folder / "ca.key"

    def missing(self):
        """Whether it has to be made."""
        return not self.certificate.exists()

    def make(self, common_name, days):
        """Makes it, its key first: without its certificate a key counts for nothing."""
        options = ["-extensions", "authority", "-days", days]
        self._write(self.certificate, self.key, common_name, "", options)

    def files(self, server):
        """Paths of a server's certificate and key."""
        return self.folder / f"{server}.crt", self.folder / f"{server}.key"

    def unfit(self, server, names, renew_days, own=None):
        """Why the files of a server will not do, or None. `own`: what the operator brought."""
        certificate, key = self.files(server)
        if not (certificate.exists() and key.exists()):
            return "there is no certificate"
        if own:
            there = certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")
            return None if there == (own.certificate, own.key) else "the operator brought another certificate"
        return self._unfit(certificate, key, names, renew_days)

    def _unfit(self, certificate, key, names, renew_days):
        if not lasts(certificate, renew_days):
            return f"the certificate ends on {end_of(certificate)}"
        if names_of(certificate) != {alternative(name) for name in names}:
            return "the certificate is for other names"
        if not fit(certificate, key):
            return "the key is of another certificate"
        try:
            openssl("verify", "-CAfile", self.certificate, certificate)
        except CertificateError:
            return "the certificate is of another authority"
        return None

    def provide(self, server, names, days, own=None):
        """Puts a server's files in place: the operator's, or new ones of the authority.

        Raises:
            CertificateError: the authority's key is gone, or it ends before the certificate would.
        """
        if own:
            certificate, key = self.files(server)
            replace(key, own.key, 0o600)
            replace(certificate, own.certificate, 0o644)
        else:
            self.issue(server, names, days)

    def issue(self, server, names, days):
        """Makes a server's certificate with a key of its own.

        Raises:
            CertificateError: the authority's key is gone, or it ends before the certificate would.
        """
        if not self.key.exists():
            raise CertificateError(
                f"{self.key} is gone: put it back from a backup. Without it, remove {self.certificate}: the next run "
                "makes another authority, and every trust needs a new kit"
            )
        if not lasts(self.certificate, days):
            raise CertificateError(
                f"the authority in {self.folder} ends on {end_of(self.certificate)}, before a new certificate would. "
                "Remove ca.crt: the next run makes another authority, and every trust needs a new kit"
            )
        lines = "subjectAltName = " + ", ".join(sorted({alternative(name) for name in names}))
        options = ["-extensions", "server", "-days", days, "-CA", self.certificate, "-CAkey", self.key]
        self._write(*self.files(server), f"FLIP {server}", lines, options)

    def _write(self, certificate, key, common_name, names, options):
        with tempfile.TemporaryDirectory(dir=self.folder) as scrap:
            config = Path(scrap, "openssl.cnf")
            config.write_text(CONFIG.format(common_name=common_name, names=names), encoding="ascii")
            made = Path(scrap, "crt"), Path(scrap, "key")
            openssl("req", "-x509", *NEW_KEY, "-config", config, "-out", made[0], "-keyout", made[1], *options)
            # If only the key gets there, `unfit` sees it.
            replace(key, made[1].read_text(encoding="ascii"), 0o600)
            replace(certificate, made[0].read_text(encoding="ascii"), 0o644)


def replace(path, content, mode):
    """Writes a file whole or not at all, with its mode from its first moment."""
    handle, scrap = tempfile.mkstemp(dir=path.parent, prefix=".new.")  # 0600
    with os.fdopen(handle, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scrap, path)


class Own:
    """A certificate chain and its key (PEM texts) that the operator brought."""

    def __init__(self, certificate, key):
        self.certificate, self.key = f"{certificate.strip()}\n", f"{key.strip()}\n"

    def check(self, names):
        """Looks whether a server can use them under these names.

        Raises:
            CertificateError: it cannot.
        """
        with tempfile.TemporaryDirectory() as scrap:  # 0700
            certificate, key = Path(scrap, "crt"), Path(scrap, "key")
            replace(certificate, self.certificate, 0o600)
            replace(key, self.key, 0o600)
            if not fit(certificate, key):
                raise CertificateError("the operator's key and certificate do not belong together")
            if not lasts(certificate, 0):
                raise CertificateError(f"the operator's certificate ended on {end_of(certificate)}")
            for name in names:
                if not names_host(certificate, name):
                    raise CertificateError(f"the operator's certificate is not for {name}")

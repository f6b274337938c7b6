"""What a TLS server on this host shows: its certificate, and until when that is good."""

import socket
import ssl
import time
from pathlib import Path

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
TIMEOUT_SECONDS = 10
DAY = 86400


class ProbeError(Exception):
    """What is wrong; the text is for the journal."""


def trust(ca_files):
    """A context that trusts these files' authorities and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in ca_files:
        context.load_verify_locations(file)
    return context


def shown(port, name, context, host="127.0.0.1"):
    """The certificate that is served to who asks for `name`, verified: DER, and seconds until it ends.

    Raises:
        ProbeError: nothing listens there, or what is shown is not good for the name.
    """
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            return tls.getpeercert(binary_form=True), _left(tls.getpeercert())
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        raise ProbeError(f"port {port} shows a certificate that is not good for {name}: {why}") from None
    except OSError as error:  # ssl.SSLError among them
        raise ProbeError(f"port {port} does not answer TLS as {name}: {error}") from None


def _left(certificate):
    return ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()


def leaf(file):
    """The first certificate of a PEM file, as DER; None where there is none.

    Raises:
        ProbeError: the file is no PEM file.
    """
    try:
        text = Path(file).read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    end = "-----END CERTIFICATE-----"
    if end not in text:
        raise ProbeError(f"{file} holds no certificate")
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN") : text.index(end) + len(end)])

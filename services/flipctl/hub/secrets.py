"""The secrets of a hub on AWS: made here, kept in Secrets Manager, and nowhere else.

OpenTofu makes the secrets without values, so that no value is in its state. What an interrupted run has not done, the
next one does: what is there is looked at before it is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flip_common.keys import generate_api_key, hash_api_key
from flip_fl.certs import Authority, private_pem
from flip_hub.aws import AwsError
from flipctl.hub import HubError
from flipctl.hub.aws import Aws

AUTHORITY_DAYS, SERVER_DAYS = 7300, 825
RENEW_WITHIN = timedelta(days=90)
SHARED = ("internal-service-key", "internal-service-key-hash", "fl-api-key")


class Rotation(StrEnum):
    """What can be made anew."""

    INTERNAL_KEY = "internal-service-key"
    FL_API_KEY = "fl-api-key"
    CERTIFICATES = "certificates"


@dataclass
class Secrets:
    """The secrets of one hub, from the outputs of its stack. `changed` are the names of those written."""

    outputs: dict[str, Any]
    aws: Aws
    say: Callable[[str], None]
    changed: list[str] = field(default_factory=list)
    _written: dict[str, datetime] = field(default_factory=dict)

    def fill(self, rotate: frozenset[Rotation] = frozenset()) -> str:
        """Makes what is missing, does not fit or ends soon, and what is to be rotated.

        Returns the certificate (PEM) of the FL servers' authority, which trusts' kits need.

        Raises:
            HubError: AWS refuses, or a value that is there cannot be used.
        """
        key = self._kept("internal-service-key", generate_api_key, anew=Rotation.INTERNAL_KEY in rotate)
        if self.read("internal-service-key-hash") != hash_api_key(key):
            self._write("internal-service-key-hash", hash_api_key(key))
        self._kept("fl-api-key", generate_api_key, anew=Rotation.FL_API_KEY in rotate)
        authority = self._authority()
        for net, place in self.outputs["nets"].items():
            if Rotation.CERTIFICATES in rotate or not self._served(net, place["host"], authority):
                certificate, server_key = authority.issue([place["host"]], SERVER_DAYS)
                self._write(f"fl-{net}-key", private_pem(server_key).decode())
                self._write(f"fl-{net}-certificate", _pem(certificate))
        return _pem(authority.certificate)

    def restart(self, everything: bool = False) -> list[str]:
        """Has the services read the secrets that were changed, also by a run that did not come to this.

        Returns the services' names.

        Raises:
            HubError: AWS refuses.
        """
        cluster = self.outputs["cluster"]
        named = []
        for name, service in cluster["services"].items():
            try:
                if everything or self._outdated(name, cluster["name"], service):
                    self.say(f"restarting {name}")
                    self.aws("ecs", "update_service", cluster=cluster["name"], service=service, forceNewDeployment=True)
                    named.append(name)
            except AwsError as error:
                raise HubError(f"service {service}: {error}") from None
        return named

    def _outdated(self, name: str, cluster: str, service: str) -> bool:
        """Whether a secret that the service reads was written after its deployment began."""
        read = {*SHARED, f"fl-{name}-certificate", f"fl-{name}-key"}
        if not read.isdisjoint(self.changed):
            return True
        told = self.aws("ecs", "describe_services", cluster=cluster, services=[service])["services"]
        begun = [each["createdAt"] for one in told for each in one["deployments"] if each["status"] == "PRIMARY"]
        return any(when > min(begun) for secret, when in self._written.items() if secret in read and begun)

    def read(self, name: str) -> str | None:
        """A secret's value; None where it has none yet."""
        try:
            found = self.aws("secretsmanager", "get_secret_value", SecretId=self.outputs["secret_arns"][name])
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise HubError(f"secret {name}: {error}") from None
        self._written[name] = found["CreatedDate"]
        value: str | None = found.get("SecretString")
        return value

    def _kept(self, name: str, make: Callable[[], str], anew: bool) -> str:
        value = None if anew else self.read(name)
        return value or self._write(name, make())

    def _write(self, name: str, value: str) -> str:
        self.say(f"writing {name}")
        try:
            self.aws(
                "secretsmanager", "put_secret_value", SecretId=self.outputs["secret_arns"][name], SecretString=value
            )
        except AwsError as error:
            raise HubError(f"secret {name}: {error}") from None
        self.changed.append(name)
        return value

    def _authority(self) -> Authority:
        name = "fl-authority-certificate"
        pem = self._kept(
            "fl-authority-key", lambda: private_pem(ec.generate_private_key(ec.SECP384R1())).decode(), False
        )
        key = _parsed("fl-authority-key", partial(serialization.load_pem_private_key, password=None), pem)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise HubError(
                f"secret fl-authority-key holds a key of another kind than {name} has; put the old value back"
            )
        written = self.read(name)
        if written is None:
            authority = Authority.make(AUTHORITY_DAYS, key)
            self._write(name, _pem(authority.certificate))
            return authority
        certificate = _parsed(name, x509.load_pem_x509_certificate, written)
        if certificate.public_key() != key.public_key():
            raise HubError(f"secrets {name} and fl-authority-key do not belong together; put the old value back")
        return Authority(certificate, key)

    def _served(self, net: str, host: str, authority: Authority) -> bool:
        """Whether the net has a certificate for its host and the key to it, good for a while."""
        pem, key_pem = self.read(f"fl-{net}-certificate"), self.read(f"fl-{net}-key")
        if pem is None or key_pem is None:
            return False
        certificate = _parsed(f"fl-{net}-certificate", x509.load_pem_x509_certificate, pem)
        key = _parsed(f"fl-{net}-key", partial(serialization.load_pem_private_key, password=None), key_pem)
        try:
            certificate.verify_directly_issued_by(authority.certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        fits: bool = names.get_values_for_type(x509.DNSName) == [host] and certificate.public_key() == key.public_key()
        return fits and certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_WITHIN


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _parsed(name: str, load: Callable[[bytes], Any], pem: str) -> Any:
    try:
        return load(pem.encode())
    except (TypeError, ValueError):
        raise HubError(
            f"secret {name} is not the PEM it should be; put the old value back, or remove the value"
        ) from None

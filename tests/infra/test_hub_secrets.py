"""`flipctl hub secrets`, the part that makes: into a Secrets Manager that is moto's, as a process of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hub_verbs import client

from flip_common.keys import hash_api_key
from flip_fl.certs import Authority
from flip_hub.aws import AwsError
from flipctl.hub import HubError
from flipctl.hub.aws import Aws
from flipctl.hub.secrets import Rotation, Secrets

NAMES = ("internal-service-key", "internal-service-key-hash", "fl-api-key", "fl-authority-certificate")
AWS = Aws("eu-west-2")
NAMES += ("fl-authority-key", "fl-net1-certificate", "fl-net1-key")


@pytest.fixture
def outputs(tofu_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Outputs of a stack whose secrets have no values yet."""
    for name, value in tofu_env.items():
        if name.startswith("AWS_") or name.endswith("_PROXY"):
            monkeypatch.setenv(name, value)
    manager = client("secretsmanager", tofu_env)
    made = {name: manager.create_secret(Name=f"trial/{name}")["ARN"] for name in NAMES}
    yield {"region": "eu-west-2", "secret_arns": made, "nets": {"net1": {"host": "fl.example.org", "port": 443}}}
    for name in NAMES:
        manager.delete_secret(SecretId=f"trial/{name}", ForceDeleteWithoutRecovery=True)


def _quiet(_: str) -> None:
    pass


def _put(env: dict[str, str], outputs: dict[str, Any], name: str, value: str) -> None:
    client("secretsmanager", env).put_secret_value(SecretId=outputs["secret_arns"][name], SecretString=value)


def test_what_is_missing_is_made_and_fits(outputs: dict[str, Any]) -> None:
    first = Secrets(outputs, AWS, _quiet)
    authority = x509.load_pem_x509_certificate(first.fill().encode())
    assert sorted(first.changed) == sorted(NAMES)
    key = first.read("internal-service-key")
    assert key
    assert first.read("internal-service-key-hash") == hash_api_key(key)
    pem, key_pem = first.read("fl-net1-certificate"), first.read("fl-net1-key")
    assert pem
    assert key_pem
    certificate = x509.load_pem_x509_certificate(pem.encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(days=800)
    private = serialization.load_pem_private_key(key_pem.encode(), None)
    assert private.public_key() == certificate.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fl.example.org"]


def test_what_is_there_stays(outputs: dict[str, Any]) -> None:
    pem = Secrets(outputs, AWS, _quiet).fill()
    again = Secrets(outputs, AWS, _quiet)
    assert again.fill() == pem
    assert again.changed == []


def test_what_an_interrupted_run_left_out_is_made(tofu_env: dict[str, str], outputs: dict[str, Any]) -> None:
    """Each secret without a value, or with an older one, with all others in place."""
    whole = Secrets(outputs, AWS, _quiet)
    whole.fill()
    manager = client("secretsmanager", tofu_env)
    expected = {
        "internal-service-key": {"internal-service-key", "internal-service-key-hash"},
        "internal-service-key-hash": {"internal-service-key-hash"},
        "fl-api-key": {"fl-api-key"},
        "fl-authority-certificate": {"fl-authority-certificate"},
        "fl-net1-certificate": {"fl-net1-certificate", "fl-net1-key"},
        "fl-net1-key": {"fl-net1-certificate", "fl-net1-key"},
    }
    for name, written in expected.items():
        manager.delete_secret(SecretId=f"trial/{name}", ForceDeleteWithoutRecovery=True)
        outputs["secret_arns"][name] = manager.create_secret(Name=f"trial/{name}")["ARN"]
        again = Secrets(outputs, AWS, _quiet)
        again.fill()
        assert set(again.changed) == written, name


def test_a_rotation_changes_what_it_names_and_the_hash_with_it(outputs: dict[str, Any]) -> None:
    before = Secrets(outputs, AWS, _quiet)
    pem = before.fill()
    old = {name: before.read(name) for name in NAMES}
    after = Secrets(outputs, AWS, _quiet)
    assert after.fill(frozenset(Rotation)) == pem  # the authority stays, and so do trusts' kits
    kept = {name for name in NAMES if after.read(name) == old[name]}
    assert kept == {"fl-authority-certificate", "fl-authority-key"}
    assert after.read("internal-service-key-hash") == hash_api_key(after.read("internal-service-key") or "")


@pytest.mark.parametrize(
    ("names", "days", "ours"),
    [(["fl.example.org"], 80, True), (["other.example.org"], 825, True), (["fl.example.org"], 825, False)],
    ids=["ends soon", "another host", "another authority"],
)
def test_a_certificate_that_serves_no_more_is_made_anew(
    tofu_env: dict[str, str], outputs: dict[str, Any], names: list[str], days: int, ours: bool
) -> None:
    secrets = Secrets(outputs, AWS, _quiet)
    secrets.fill()
    authority = secrets._authority() if ours else Authority.make(days=800)
    certificate, key = authority.issue(names, days)
    _put(tofu_env, outputs, "fl-net1-certificate", certificate.public_bytes(serialization.Encoding.PEM).decode())
    _put(tofu_env, outputs, "fl-net1-key", _private(key))
    again = Secrets(outputs, AWS, _quiet)
    again.fill()
    assert set(again.changed) == {"fl-net1-certificate", "fl-net1-key"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("fl-authority-key", "no PEM", "fl-authority-key is not the PEM"),
        ("fl-authority-certificate", "no PEM", "fl-authority-certificate is not the PEM"),
        ("fl-authority-key", "rsa", "another kind"),
        ("fl-authority-key", "another", "do not belong together"),
    ],
)
def test_an_authority_that_cannot_be_used_is_not_replaced(
    tofu_env: dict[str, str], outputs: dict[str, Any], name: str, value: str, told: str
) -> None:
    Secrets(outputs, AWS, _quiet).fill()
    if value == "rsa":
        value = _private(rsa.generate_private_key(65537, 2048))
    elif value == "another":
        value = _private(Authority.make(days=1).key)
    _put(tofu_env, outputs, name, value)
    again = Secrets(outputs, AWS, _quiet)
    with pytest.raises(HubError, match=told) as error:
        again.fill()
    assert value.split("\n")[1:2] == [] or value.split("\n")[1] not in str(error.value)
    assert again.changed == []


def _private(key: Any) -> str:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(pem.decode())


class _Services:
    """Secrets Manager as it is, and an ECS that knows when each service's deployment began."""

    def __init__(self, **begun: datetime) -> None:
        self.begun, self.refuses = begun, ""

    def __call__(self, service: str, operation: str, /, **arguments: Any) -> dict[str, Any]:
        if service != "ecs":
            return AWS(service, operation, **arguments)
        if operation == "describe_services":
            (name,) = arguments["services"]
            return {"services": [{"deployments": [{"status": "PRIMARY", "createdAt": self.begun[name]}]}]}
        assert operation == "update_service"
        if arguments["service"] == self.refuses:
            raise AwsError("ECS is away")
        self.begun[arguments["service"]] = datetime.now(UTC)
        return {}


def test_a_restart_that_an_earlier_run_did_not_come_to_is_made(outputs: dict[str, Any]) -> None:
    """Or the hub would go on with the old key, and an FL server that starts later with the new one."""
    long_ago = datetime.now(UTC) - timedelta(days=1)
    aws: Any = _Services(hub=long_ago, net1=long_ago)
    outputs["cluster"] = {"name": "trial", "services": {"hub": "hub", "net1": "net1"}}
    first = Secrets(outputs, aws, _quiet)
    first.fill()
    aws.refuses = "net1"
    with pytest.raises(HubError, match="service net1: ECS is away"):
        first.restart()
    aws.refuses = ""
    for expected in (["net1"], []):
        again = Secrets(outputs, aws, _quiet)
        again.fill()
        assert again.changed == []
        assert again.restart() == expected

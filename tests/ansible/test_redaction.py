"""No secret is in what flip_logs collects."""

import pytest
from ansible_tree import python

module = python("flip_logs", "module_utils/flip_redact.py")

ENV = """
# TRUST_API_KEY=a-comment-is-no-secret
TRUST_API_KEY=flip_abcdefgh
TRUST_API_KEY_HEADER=X-Trust-Api-Key
FL_SERVER_CERT_FILE=/config/server.crt
DATABASE_URL=postgresql://owner:of-the-url@db:5432/x
OMOP_PASSWORD="correct horse"
SHORT_TOKEN=abc
FL_SERVER_ADDRESS=fl.example.org:9092
"""


def test_secrets_of_an_env_file_are_known_by_name_and_by_form() -> None:
    assert module.secrets_in(ENV) == {"flip_abcdefgh", "of-the-url", "correct horse"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password is hunter2hunter2.", "password is [redacted]."),
        ("longer hunter2hunter2-and-more", "longer [redacted]"),
        ("to http://user:whatever@host/x", "to http://user:[redacted]@host/x"),
        ("sent flip_0123456789abcdefghijABCDEFGHIJ", "sent [redacted]"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer [redacted]"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIGk\n-----END EC PRIVATE KEY-----\nrest", "[redacted]\nrest"),
        ("flip_service flip-omop https://hub.example.org/api", "flip_service flip-omop https://hub.example.org/api"),
    ],
)
def test_what_looks_like_a_secret_or_is_known_as_one_goes(text: str, left: str) -> None:
    assert module.redact(text, {"hunter2hunter2", "hunter2hunter2-and-more"}) == left


def test_of_an_environment_the_names_are_left() -> None:
    described = {
        "services": {
            "db": {"environment": {"A": "secret"}, "image": "x", "command": ["--env-file", "/config/service.env"]},
            "other": {"environment": ["B=secret", "C"], "api_key": "secret"},
        },
        "Config": {"Env": ["PATH=/bin", "D=secret"]},
    }
    made = module.redact_mapping(described)
    assert "secret" not in str(made)
    assert made["services"]["db"] == {
        "environment": ["A"],
        "image": "x",
        "command": ["--env-file", "/config/service.env"],
    }
    assert made["Config"]["Env"] == ["PATH", "D"]

"""Log lines are JSON, carry the request id, and hold no secret."""

import json
import logging

import pytest

from flip_common.keys import generate_api_key
from flip_common.logs import REDACTED, client_request_id, configure_logging, redact, register_secrets, request_id


def test_a_line_is_json_with_service_and_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("hub")
    token = request_id.set("r-1")
    logging.getLogger("x").warning("hello %s", "world", extra={"trust": "Trust_1"})
    theirs = client_request_id.set("theirs-1")
    logging.getLogger("x").warning("again")
    client_request_id.reset(theirs)
    request_id.reset(token)
    line, again = map(json.loads, capsys.readouterr().err.splitlines())
    assert "client_request_id" not in line
    assert (again["request_id"], again["client_request_id"]) == ("r-1", "theirs-1")
    assert line["message"] == "hello world"
    assert (line["service"], line["request_id"], line["level"]) == ("hub", "r-1", "WARNING")
    assert (line["logger"], line["trust"]) == ("x", "Trust_1")


@pytest.mark.parametrize(
    "secret",
    [
        generate_api_key(),
        "eyJhbGciOiJkaXIifQ..AAAA.BBBB.CCCC",
        "user:pass",
    ],
)
def test_shapes_of_secrets_are_redacted(secret: str) -> None:
    line = redact(f"postgresql://{secret}@db/x" if ":" in secret else f"key {secret} end")
    assert secret not in line
    assert REDACTED in line


def test_registered_secrets_are_redacted_also_in_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    register_secrets(["correct horse battery"])
    configure_logging("hub")
    try:
        raise ValueError("password was correct horse battery")
    except ValueError:
        logging.getLogger("x").exception("failed")
    err = capsys.readouterr().err
    assert "correct horse" not in err
    assert REDACTED in err


def test_short_values_are_not_registered() -> None:
    register_secrets(["a"])
    assert redact("a cat") == "a cat"


def test_unknown_level_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("hub", "LOUD")

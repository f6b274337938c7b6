"""API keys and payload keys."""

import base64

import pytest

from flip_common.keys import (
    KeyFormatError,
    PayloadKey,
    api_key_matches,
    generate_api_key,
    hash_api_key,
    parse_payload_keys,
)


def test_api_keys_are_long_and_differ() -> None:
    keys = {generate_api_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(base64.urlsafe_b64decode(key.removeprefix("flip_") + "=")) == 32 for key in keys)


def test_either_of_two_hashes_matches_and_no_other() -> None:
    old, new = generate_api_key(), generate_api_key()
    hashes = [hash_api_key(old), hash_api_key(new)]
    assert api_key_matches(old, hashes)
    assert api_key_matches(new, hashes)
    assert not api_key_matches(generate_api_key(), hashes)
    assert not api_key_matches("", hashes)
    assert not api_key_matches(old, [])


def test_payload_key_as_text() -> None:
    key = PayloadKey.generate()
    assert PayloadKey.from_base64(key.to_base64()) == key
    assert PayloadKey.from_base64(f" {key.to_base64()}\n").kid == key.kid


def test_payload_key_is_not_in_its_repr() -> None:
    key = PayloadKey(b"S" * 32)
    assert "SSS" not in repr(key)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "found 0"),
        ("not base64!", "not base64"),
        (base64.b64encode(b"short").decode(), "has 5"),
        (",".join(PayloadKey.generate().to_base64() for _ in range(3)), "found 3"),
        (",".join([PayloadKey(b"a" * 32).to_base64()] * 2), "twice"),
    ],
)
def test_bad_payload_keys_are_refused_without_showing_them(text: str, problem: str) -> None:
    with pytest.raises(KeyFormatError, match=problem) as error:
        parse_payload_keys(text)
    assert not text or text not in str(error.value)


def test_two_live_keys_keep_their_order() -> None:
    first, second = PayloadKey.generate(), PayloadKey.generate()
    assert parse_payload_keys(f"{first.to_base64()},{second.to_base64()}") == (first, second)

"""The kit file: what it shows without a key, stock tools on it, and every altered byte."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flip_fl.certs import make_net_certificates
from flipctl.kit import KitError, issue, signature
from flipctl.kit.issue import Order
from flipctl.kit.keys import identity, make_key, recipient, signing_key
from flipctl.kit.model import Contents, Header
from flipctl.kit.sealed import MAX_KIT_BYTES, pack, read, unseal


def _ask(answer: str) -> Any:
    return lambda _: answer


needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not here")


def _contents(path: Path, key: Path) -> Contents:
    return unseal(read(path), identity(key, _ask("")))


def test_what_goes_in_comes_out(make_kit: Any, keys: Any) -> None:
    kit = read(make_kit())
    contents = _contents(make_kit(), keys.site)
    assert kit.signed_by == keys.signed_by
    assert contents.header.trust_name == "Trust_3"
    assert contents.fl.server_address == "fl.example.org:9092"
    assert contents.fl.ca_pem == keys.ca.read_text()
    assert kit.header.expires_at - kit.header.issued_at == timedelta(days=30)


def test_no_two_kits_share_a_key(make_kit: Any, keys: Any) -> None:
    one, other = (_contents(make_kit(name), keys.site) for name in ("a", "b"))
    secrets = [
        (kit.internal_service_key.get_secret_value(), kit.app_service_key.get_secret_value()) for kit in (one, other)
    ]
    assert len({key for pair in secrets for key in pair}) == 4


def test_inspect_shows_all_but_secrets(make_kit: Any, keys: Any, flipctl: Any) -> None:
    path = make_kit(serial=3)
    contents = _contents(path, keys.site)
    done = flipctl("kit", "inspect", path, "--json")
    assert done.status == 0
    shown = json.loads(done.stdout)
    assert (shown["trust_name"], shown["serial"], shown["signed_by"]) == ("Trust_3", 3, keys.signed_by)
    assert shown["recipients"] == [identity(keys.site, _ask("")).name]
    assert shown["expired"] is False
    plain = json.loads(contents.model_dump_json())
    text = flipctl("kit", "inspect", path).output + done.output + path.read_text()
    for name in ("api_key", "aes_key_base64", "internal_service_key", "app_service_key"):
        assert len(plain[name]) > 30
        assert plain[name] not in text
        assert plain[name] not in repr(contents) + str(contents.model_dump())


def test_inspect_says_when_a_kit_has_expired(make_kit: Any, flipctl: Any) -> None:
    assert json.loads(flipctl("kit", "inspect", make_kit(issued_days_ago=31), "--json").stdout)["expired"] is True


def test_inspect_holds_a_kit_to_a_key(make_kit: Any, keys: Any, flipctl: Any) -> None:
    path = make_kit()
    assert flipctl("kit", "inspect", path, "--signed-by", keys.signed_by).status == 0
    other = identity(keys.stranger, _ask("")).name
    refused = flipctl("kit", "inspect", path, "--signed-by", other)
    assert refused.status == 1
    assert keys.signed_by in refused.output
    assert other in refused.output
    assert flipctl("kit", "inspect", path, "--signed-by", "SHA256:short").status == 2


@needs_ssh
def test_stock_openssh_checks_the_signature(make_kit: Any, keys: Any, tmp_path: Path) -> None:
    """As docs/trust-operator.md has it."""
    content = make_kit().read_bytes()
    body, mark, rest = content.partition(signature.BEGIN)
    (tmp_path / "s.sig").write_bytes(mark + rest)
    (tmp_path / "allowed").write_text(f"flip-hub {keys.signing.with_name('signing.pub').read_text()}")

    def check(message: bytes) -> int:
        command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "flip-hub", "-n", "flip-kit", "-s", "s.sig"]
        return subprocess.run(command, input=message, cwd=tmp_path, capture_output=True, check=False).returncode

    assert check(body) == 0
    assert check(body + b" ") != 0


@needs_ssh
def test_fingerprints_and_signatures_are_those_of_openssh(keys: Any, tmp_path: Path) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", keys.signing.with_name("signing.pub")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[1] == keys.signed_by
    (tmp_path / "m").write_bytes(b"message")
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", keys.signing, "-n", "flip-kit", "m"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert signature.verify(b"message", (tmp_path / "m.sig").read_bytes()) == keys.signed_by


@needs_ssh
def test_a_key_locked_by_openssh_signs_and_opens(order: Order, answer: Any, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", path], check=True)
    changed = replace(
        order, to=[recipient(str(path.with_name("locked.pub")))], signing_key=signing_key(path, _ask("open sesame"))
    )
    kit = tmp_path / "kit"
    kit.write_bytes(issue.make(changed, answer, 1)[1])
    assert unseal(read(kit), identity(path, _ask("open sesame"))).header.serial == 1
    with pytest.raises(KitError, match="wrong") as refused:
        identity(path, _ask("open barley"))
    assert "barley" not in str(refused.value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_altered_byte_goes_unseen(make_kit: Any, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.flipkit"
    content = path.read_bytes() if path.exists() else make_kit().read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    how = data.draw(st.sampled_from(["flip", "drop", "insert", "cut", "repeat"]))
    byte = bytes([data.draw(st.integers(0, 255))])
    altered = {
        "flip": content[:at] + bytes([content[at] ^ (byte[0] or 1)]) + content[at + 1 :],
        "drop": content[:at] + content[at + 1 :],
        "insert": content[:at] + byte + content[at:],
        "cut": content[:at],
        "repeat": content + content[at:],
    }[how]
    if altered == content:
        return
    (tmp_path / "altered").write_bytes(altered)
    with pytest.raises(KitError):
        read(tmp_path / "altered")


def test_every_single_byte_flipped_is_refused(make_kit: Any, tmp_path: Path) -> None:
    content = make_kit().read_bytes()
    altered = tmp_path / "altered"
    for at in range(len(content)):
        altered.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(KitError):
            read(altered)


def test_a_header_of_one_kit_on_the_contents_of_another_is_refused(make_kit: Any, keys: Any, tmp_path: Path) -> None:
    """Even when the hub's own key signs the mixture."""
    one, other = (make_kit(name, serial=serial).read_bytes() for name, serial in (("a", 1), ("b", 2)))
    body = b"\n".join(other.split(b"\n")[:2]) + b"\n" + one[one.index(b"-----BEGIN AGE") : one.index(signature.BEGIN)]
    key = signing_key(keys.signing, _ask(""))
    (tmp_path / "mixed").write_bytes(body + signature.sign(key, body))
    with pytest.raises(KitError, match="another kit than its header"):
        _contents(tmp_path / "mixed", keys.site)


@pytest.mark.parametrize("content", [b"", b"hello", b"FLIP-KIT\n", b"\0" * 600_000, signature.BEGIN])
def test_what_is_no_kit_is_refused(content: bytes, tmp_path: Path, flipctl: Any) -> None:
    (tmp_path / "x").write_bytes(content)
    done = flipctl("kit", "inspect", tmp_path / "x")
    assert done.status == 1
    assert "no complete kit" in done.output
    assert "cannot be read" in flipctl("kit", "inspect", tmp_path / "none").output


def test_a_file_larger_than_any_kit_is_not_read_on(keys: Any, tmp_path: Path) -> None:
    body = b"FLIP-KIT\n" + b"x" * MAX_KIT_BYTES
    path = tmp_path / "large"
    path.write_bytes(body + signature.sign(signing_key(keys.signing, _ask("")), body))
    with pytest.raises(KitError, match="no complete kit"):
        read(path)


def test_a_later_format_is_named(make_kit: Any, keys: Any, tmp_path: Path) -> None:
    content = make_kit().read_bytes()
    body = content[: content.index(signature.BEGIN)].replace(b'"format":1', b'"format":2')
    path = tmp_path / "later"
    path.write_bytes(body + signature.sign(signing_key(keys.signing, _ask("")), body))
    with pytest.raises(KitError, match=r"format.*release"):
        read(path)


def test_the_header_must_say_for_whom_it_is_sealed(make_kit: Any, keys: Any, order: Order) -> None:
    contents = _contents(make_kit(), keys.site)
    with pytest.raises(ValueError, match="sealed for"):
        pack(contents, "a passphrase", order.signing_key)


def test_age_keys_open_kits_too(make_kit: Any, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    path = tmp_path / "age.key"
    path.write_text(f"# public key: {key.to_public()}\n{key}\n")
    path.chmod(0o600)
    kit = make_kit(to=[recipient(str(key.to_public()))])
    assert _contents(kit, path).header.recipients == (str(key.to_public()),)


def test_several_recipients_each_open_it(make_kit: Any, keys: Any) -> None:
    kit = make_kit(to=[recipient(str(key.with_name(f"{key.name}.pub"))) for key in (keys.site, keys.stranger)])
    assert _contents(kit, keys.site) == _contents(kit, keys.stranger)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ssh-rsa AAAA", "use ssh-ed25519"),
        ("ssh-ed25519 AAAA", "use ssh-ed25519"),
        ("age1qqqq", "use ssh-ed25519"),
        ("/no/such/file", "cannot be read"),
        ("AGE-SECRET-KEY-1QQQQ", "private key"),
    ],
)
def test_what_is_no_recipient_is_refused(text: str, problem: str) -> None:
    with pytest.raises(KitError, match=problem) as refused:
        recipient(text)
    assert "QQQQ" not in str(refused.value)


def test_a_private_key_for_a_recipient_is_refused_unread(keys: Any) -> None:
    with pytest.raises(KitError, match="0 public keys"):
        recipient(str(keys.site))


def test_keys_others_may_read_are_refused(keys: Any, tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.write_bytes(keys.site.read_bytes())
    path.chmod(0o640)
    for load in (identity, signing_key):
        with pytest.raises(KitError, match=f"chmod 600 {path}"):
            load(path, _ask(""))


def test_what_is_no_private_key_is_refused(keys: Any, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_text("junk")
    path.chmod(0o600)
    for load in (identity, signing_key):
        with pytest.raises(KitError, match="Ed25519"):
            load(path, _ask(""))


def test_keygen_makes_a_pair_and_replaces_none(tmp_path: Path, flipctl: Any) -> None:
    path = tmp_path / "deep" / "key"
    done = flipctl("kit", "keygen", path, "--json")
    assert done.status == 0
    assert json.loads(done.stdout)["fingerprint"] == identity(path, _ask("")).name
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert before.splitlines()[1].decode() not in done.output
    again = flipctl("kit", "keygen", path)
    assert again.status == 1
    assert "exists" in again.output
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(KitError, match=r"key\.pub exists"):
        make_key(path)
    assert not path.exists()
    with pytest.raises(KitError, match="cannot be written"):
        make_key(tmp_path / "deep" / "key.pub" / "x")


class TestCertificates:
    """What `--fl-ca` and `--hub-ca` take."""

    def test_only_certificates_travel(self, keys: Any, tmp_path: Path) -> None:
        path = tmp_path / "ca.pem"
        path.write_text(f"a comment of the hub's\n{keys.ca.read_text()}")
        assert issue.read_certificates(path, datetime.now(UTC)) == keys.ca.read_text()

    def test_a_private_key_is_refused(self, tmp_path: Path) -> None:
        files = make_net_certificates(tmp_path)
        both = tmp_path / "both.pem"
        both.write_text(files.cert.read_text() + files.key.read_text())
        with pytest.raises(KitError, match="private key") as refused:
            issue.read_certificates(both, datetime.now(UTC))
        assert files.key.read_text().splitlines()[1] not in str(refused.value)

    def test_an_expired_one_is_refused(self, keys: Any) -> None:
        with pytest.raises(KitError, match="FLIP net CA expired on"):
            issue.read_certificates(keys.ca, datetime.now(UTC) + timedelta(days=826))

    @pytest.mark.parametrize("content", ["", "junk", "é"])
    def test_what_is_none_is_refused(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "x").write_text(content)
        with pytest.raises(KitError, match=re.escape(str(tmp_path / "x"))):
            issue.read_certificates(tmp_path / "x", datetime.now(UTC))

    def test_too_many_are_refused(self, keys: Any, tmp_path: Path) -> None:
        (tmp_path / "x").write_text(keys.ca.read_text() * 11)
        with pytest.raises(KitError, match="at most 10"):
            issue.read_certificates(tmp_path / "x", datetime.now(UTC))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"trust_name": "no/name"}, "trust name 'no/name'"),
        ({"hub": "http://hub.example.org/api"}, "must be https"),
        ({"fl_server": "fl.example.org"}, "--fl-server 'fl.example.org'"),
        ({"to": []}, "0 recipients"),
    ],
)
def test_an_order_is_checked_before_the_hub_is_asked(order: Order, change: dict[str, Any], named: str) -> None:
    with pytest.raises(KitError, match=re.escape(named)):
        replace(order, **change)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"api_key": "too short"}, "api_key"),
        ({"api_key": "flip_$with\"quotes'#and"}, "TRUST_API_KEY"),
        ({"aes_key_base64": "AAAA"}, "aes_key_base64"),
        ({"trust_id": "no id"}, "trust_id"),
        ({"api_key_header": None}, "api_key_header"),
    ],
)
def test_a_hub_that_answers_amiss_gets_into_no_kit(
    order: Order, answer: Any, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(KitError, match=named) as refused:
        issue.make(order, {**answer, **change}, 1)
    assert str(change.get("api_key", "\0")) not in str(refused.value)
    assert "AAAA" not in str(refused.value)


def test_no_error_holds_what_it_refuses(make_kit: Any, keys: Any) -> None:
    plain = json.loads(_contents(make_kit(), keys.site).model_dump_json())
    with pytest.raises(ValueError, match="aes_key_base64") as refused:
        Contents.model_validate({**plain, "aes_key_base64": "a-secret-that-is-wrong"})
    assert "a-secret" not in str(refused.value)


def test_an_answer_without_a_part_is_named(order: Order, answer: Any) -> None:
    del answer["api_key"]
    with pytest.raises(KitError, match="api_key"):
        issue.make(order, answer, 1)


def test_a_header_has_no_room_for_more(make_kit: Any) -> None:
    header = json.loads(read(make_kit()).header.model_dump_json())
    assert Header.model_validate_json(json.dumps(header))
    with pytest.raises(ValueError, match="Extra inputs"):
        Header.model_validate_json(json.dumps({**header, "api_key": "x"}))

"""`flipctl trust` against a real hub: onboard, reissue, retire, and the older register and rotate-key."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flip_common.keys import PayloadKey, hash_api_key
from flipctl import envfile, trust
from flipctl.kit.keys import identity
from flipctl.kit.model import Contents
from flipctl.kit.sealed import read, unseal

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"


@dataclass
class Desk:
    """Where the hub's administrator sits."""

    hub: Any
    keys: Any
    flipctl: Any
    folder: Path

    def run(self, verb: str, name: str, *options: object) -> Any:
        done = self.flipctl("trust", verb, name, "--email", EMAIL, *options, "--json", env={"FLIP_PASSWORD": PASSWORD})
        assert PASSWORD not in done.output
        return done

    def make(self, verb: str, name: str, out: str, /, *options: object, **changes: object) -> Any:
        """onboard or reissue; `changes` replace an option, None leaves it out."""
        given: dict[str, object] = {
            "--hub": self.hub.api,
            "--to": self.keys.site.with_name("site.pub"),
            "--out": self.folder / out,
            "--signing-key": self.keys.signing,
            "--fl-server": "fl.example.org:9092",
            "--fl-ca": self.keys.ca,
        }
        given |= {f"--{option.replace('_', '-')}": value for option, value in changes.items()}
        words = [word for option, value in given.items() if value is not None for word in (option, value)]
        return self.run(verb, name, *words, *options)

    def opened(self, out: str) -> Contents:
        return unseal(read(self.folder / out), identity(self.keys.site, lambda _: ""))

    def keys_of(self, name: str) -> list[dict[str, Any]]:
        (found,) = [trust["trust_id"] for trust in self.hub.get("/trusts") if trust["name"] == name]
        return list(self.hub.get(f"/trusts/{found}/keys"))

    def calls_with(self, kit: Contents) -> int:
        answer = self.hub.heartbeat(kit.api_key_header, kit.api_key.get_secret_value())
        if answer.status_code == 200:
            assert answer.json()["trust_id"] == str(kit.header.trust_id)
        return int(answer.status_code)


@pytest.fixture
def desk(real_hub: Any, keys: Any, flipctl: Any, tmp_path: Path) -> Desk:
    return Desk(real_hub, keys, flipctl, tmp_path)


def test_onboarding_makes_a_kit_the_hub_lets_in(desk: Desk) -> None:
    done = desk.make("onboard", "T1", "t1.flipkit", days=7)
    assert done.status == 0, done.output
    kit = desk.opened("t1.flipkit")
    shown = json.loads(done.stdout)
    assert (shown["trust_id"], shown["serial"], shown["signed_by"]) == (
        str(kit.header.trust_id),
        1,
        desk.keys.signed_by,
    )
    assert (kit.header.expires_at - kit.header.issued_at).days == 7
    assert desk.calls_with(kit) == 200
    (known,) = desk.keys_of("T1")
    payload_key = PayloadKey.from_base64(kit.aes_key_base64.get_secret_value())
    assert (known["key_id"], known["payload_key_id"]) == (str(kit.header.key_id), payload_key.kid)
    assert (desk.folder / "t1.flipkit").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in desk.folder.iterdir()] == ["t1.flipkit"]


def test_no_secret_is_shown(desk: Desk, flipctl: Any) -> None:
    shown = desk.make("onboard", "T2", "t2.flipkit").output
    plain = json.loads(desk.opened("t2.flipkit").model_dump_json())
    opened = flipctl(
        *("kit", "open", desk.folder / "t2.flipkit", "--trust", "T2", "--into", desk.folder / "kit"),
        *("--signed-by", desk.keys.signed_by, "--identity", desk.keys.site),
    )
    assert opened.status == 0
    for name in ("api_key", "aes_key_base64", "internal_service_key", "app_service_key"):
        assert plain[name] not in shown + opened.output + (desk.folder / "t2.flipkit").read_text()
    assert hash_api_key(plain["api_key"]) not in shown


def test_the_person_is_told_what_to_do_next(desk: Desk) -> None:
    words = ("--hub", desk.hub.api, "--email", EMAIL, "--out", desk.folder / "k", "--signing-key", desk.keys.signing)
    words += (
        "--fl-server",
        "fl.example.org:9092",
        "--fl-ca",
        desk.keys.ca,
        "--to",
        desk.keys.site.with_name("site.pub"),
    )
    done = desk.flipctl("trust", "onboard", "T3", *words, input=f"{PASSWORD}\n")
    assert done.status == 0, done.output
    assert desk.keys.signed_by in done.stdout
    assert "By another way" in done.stdout


def test_the_hub_s_address_at_trusts_may_differ_from_here(desk: Desk) -> None:
    done = desk.make("onboard", "T4", "k", hub="https://hub.example.org/api", via=desk.hub.api, hub_ca=desk.keys.ca)
    assert done.status == 0, done.output
    kit = desk.opened("k")
    assert kit.header.hub_api_url == "https://hub.example.org/api"
    assert kit.hub_ca_pem == desk.keys.ca.read_text()


def test_a_passphrase_takes_the_recipient_s_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLIP_KIT_PASSPHRASE", "elevenchars")
    short = desk.make("onboard", "T5", "k", "--passphrase", to=None)
    assert "11 characters; use at least 12" in short.output
    assert "elevenchars" not in short.output
    monkeypatch.setenv("FLIP_KIT_PASSPHRASE", "correct horse battery")
    assert desk.make("onboard", "T5", "k", "--passphrase", to=None).status == 0
    assert unseal(read(desk.folder / "k"), "correct horse battery").header.recipients == ()


def test_reissuing_touches_no_other_trust(desk: Desk) -> None:
    assert desk.make("onboard", "T6", "t6").status == 0
    assert desk.make("onboard", "T7", "t7").status == 0
    others = desk.keys_of("T7"), (desk.folder / "t7").read_bytes()
    first = desk.opened("t6")
    assert desk.calls_with(first) == 200
    done = desk.make("reissue", "T6", "t6.2")
    assert done.status == 0, done.output
    second = desk.opened("t6.2")
    assert (second.header.trust_id, second.header.serial) == (first.header.trust_id, 2)
    assert {desk.calls_with(first), desk.calls_with(second)} == {200}  # no gap while the site changes over
    retired = desk.run("retire", "T6", "--hub", desk.hub.api)
    assert json.loads(retired.stdout)["retired"] == str(first.header.key_id)
    assert (desk.calls_with(first), desk.calls_with(second)) == (401, 200)
    assert (desk.keys_of("T7"), (desk.folder / "t7").read_bytes()) == others
    assert desk.calls_with(desk.opened("t7")) == 200
    assert desk.make("reissue", "T6", "t6.3").status == 0
    assert desk.opened("t6.3").header.serial == 3  # retired keys count: a serial is never given twice


def test_a_key_is_retired_only_when_its_follower_is_in_use(desk: Desk) -> None:
    desk.make("onboard", "T8", "a")
    one = desk.run("retire", "T8", "--hub", desk.hub.api)
    assert (one.status, "locked out" in one.output) == (1, True)
    desk.calls_with(desk.opened("a"))
    desk.make("reissue", "T8", "b")
    unused = desk.run("retire", "T8", "--hub", desk.hub.api)
    assert (unused.status, "not used its new key" in unused.output) == (1, True)
    assert [key["retired_at"] for key in desk.keys_of("T8")] == [None, None]


def test_lost_kits_are_ended_and_made_anew(desk: Desk) -> None:
    desk.make("onboard", "T9", "a")
    desk.calls_with(desk.opened("a"))
    desk.make("reissue", "T9", "lost")
    full = desk.make("reissue", "T9", "c")
    assert full.status == 1
    assert "two live keys" in full.output
    assert "flipctl trust retire T9, with --unused" in full.output
    assert not (desk.folder / "c").exists()
    ended = json.loads(desk.run("retire", "T9", "--unused", "--hub", desk.hub.api).stdout)
    assert ended["retired"] == [str(desk.opened("lost").header.key_id)]
    assert (desk.calls_with(desk.opened("lost")), desk.calls_with(desk.opened("a"))) == (401, 200)
    assert "has been used" in desk.run("retire", "T9", "--unused", "--hub", desk.hub.api).output
    assert desk.make("reissue", "T9", "c").status == 0
    assert desk.opened("c").header.serial == 3


def test_a_trust_is_onboarded_once(desk: Desk) -> None:
    desk.make("onboard", "T10", "a")
    again = desk.make("onboard", "T10", "b")
    assert again.status == 1
    assert "flipctl trust reissue T10" in again.output
    assert not (desk.folder / "b").exists()
    unknown = desk.make("reissue", "T10-no", "b")
    assert (unknown.status, "knows no trust 'T10-no'" in unknown.output) == (1, True)


@pytest.mark.parametrize(
    ("changes", "options", "status", "reason"),
    [
        ({"to": None}, (), 2, "either --to"),
        ({}, ("--passphrase",), 2, "either --to"),
        ({"to": "ssh-rsa AAAA"}, (), 1, "ssh-ed25519"),
        ({"signing_key": "/no/key"}, (), 1, "cannot be read"),
        ({"fl_ca": "/no/ca"}, (), 1, "cannot be read"),
        ({"fl_server": "fl"}, (), 1, "--fl-server 'fl'"),
        ({"hub": "http://hub.example.org/api"}, (), 1, "must be https"),
        ({"hub": "https://hub.example.org"}, (), 1, "/api"),
        ({"via": "http://hub.example.org/api"}, (), 1, "--via 'http://hub.example.org/api': must be https"),
        ({"via": "http://127.0.0.1:1/api"}, (), 1, "http://127.0.0.1:1/api cannot be reached"),
        ({"out": "/no/folder/kit"}, (), 1, "cannot be written"),
        ({"out": "/etc/hostname"}, (), 1, "exists"),
        ({"days": 0}, (), 2, "--days"),
        ({"days": 366}, (), 2, "--days"),
    ],
)
def test_nothing_is_asked_of_the_hub_for_a_kit_that_could_not_be_made(
    desk: Desk, changes: dict[str, Any], options: tuple[str, ...], status: int, reason: str
) -> None:
    done = desk.make("onboard", "Never", "k", *options, **changes)
    assert done.status == status, done.output
    assert reason in done.output
    assert "Never" not in [trust["name"] for trust in desk.hub.get("/trusts")]
    assert list(desk.folder.iterdir()) == []


def test_a_kit_that_could_not_be_written_after_all_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_went_away(*_: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(trust, "make", disk_went_away)
    done = desk.make("onboard", "T11", "k")
    assert done.status == 1
    assert "Input/output error; the hub has made keys, but no kit was written" in done.output
    assert list(desk.folder.iterdir()) == []
    monkeypatch.undo()
    ended = desk.run("retire", "T11", "--unused", "--hub", desk.hub.api)
    assert ended.status == 0, ended.output
    assert desk.make("reissue", "T11", "k").status == 0
    assert desk.calls_with(desk.opened("k")) == 200


@pytest.mark.parametrize("verb", ["retire", "register", "rotate-key"])
def test_no_password_goes_out_in_clear(desk: Desk, verb: str) -> None:
    options = () if verb == "retire" else ("--kit", desk.folder / "x")
    done = desk.run(verb, "T1", "--hub", "http://hub.example.org/api", *options)
    assert (done.status, "must be https" in done.output) == (1, True)
    away = desk.run(verb, "T1", "--hub", "http://127.0.0.1:1/api", *options)
    assert (away.status, "flipctl doctor --hub http://127.0.0.1:1/api" in away.output) == (1, True)


def test_a_wrong_password_is_refused_and_not_repeated(desk: Desk) -> None:
    options = ("--hub", desk.hub.api, "--email", EMAIL)
    done = desk.flipctl("trust", "retire", "T1", *options, env={"FLIP_PASSWORD": "wrong horse battery"})
    assert done.status == 1
    assert "wrong horse" not in done.output


def test_register_and_rotate_key_go_on_working(desk: Desk) -> None:
    hub = ("--hub", desk.hub.api)
    env = desk.folder / "t.env"
    made = desk.run("register", "T12", *hub, "--kit", env)
    assert made.status == 0, made.output
    values = envfile.read(env)
    assert set(values) == {
        "CENTRAL_HUB_API_URL",
        "TRUST_API_KEY_HEADER",
        "TRUST_API_KEY",
        "AES_KEY_BASE64",
        "EXPECTED_TRUST_ID",
    }
    assert values["CENTRAL_HUB_API_URL"] == desk.hub.api
    assert desk.hub.heartbeat(values["TRUST_API_KEY_HEADER"], values["TRUST_API_KEY"]).status_code == 200
    assert desk.run("register", "T13", *hub, "--kit", env).status == 1
    assert desk.run("rotate-key", "T12", *hub, "--kit", env).status == 1
    second = desk.folder / "t2.env"
    assert desk.run("rotate-key", "T12", *hub, "--kit", second).status == 0
    newer = envfile.read(second)
    assert "not used its new key" in desk.run("rotate-key", "T12", *hub, "--kit", second, "--retire-old").output
    assert desk.hub.heartbeat(newer["TRUST_API_KEY_HEADER"], newer["TRUST_API_KEY"]).status_code == 200
    assert desk.run("rotate-key", "T12", *hub, "--kit", second, "--retire-old").status == 0
    assert desk.hub.heartbeat(values["TRUST_API_KEY_HEADER"], values["TRUST_API_KEY"]).status_code == 401
    assert "knows no trust" in desk.run("rotate-key", "T0", *hub, "--kit", desk.folder / "x").output

"""`flipctl kit open`: what lies at the site afterwards, every refusal, and that a refusal changes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flip_common.keys import parse_payload_keys
from flip_fl.settings import SiteSettings
from flip_trust.api.settings import TrustApiSettings
from flip_trust.data_access.settings import DataAccessSettings
from flipctl import envfile
from flipctl.kit import KitError, folder
from flipctl.kit.keys import identity
from flipctl.kit.sealed import read, unseal

FILES = {"kit.json", "trust.env", "services.env", "fl-site.env", "ca.pem"}


def contents(path: Path) -> dict[str, bytes]:
    """Every file below, also hidden ones, by relative path."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@dataclass
class SiteHost:
    """A folder for the kit, and the verb as the operator of Trust_3 calls it."""

    into: Path
    keys: Any
    flipctl: Any

    def open(self, path: Path, *options: object, trust: str = "Trust_3", key: Path | None = None) -> Any:
        where = ("--trust", trust, "--into", self.into, "--signed-by", self.keys.signed_by)
        return self.flipctl("kit", "open", path, *where, "--identity", key or self.keys.site, *options)

    def refuses(self, path: Path, *reasons: str, **changes: Any) -> str:
        """The refusal's text; asserts that it has these parts and that nothing changed."""
        before = contents(self.into.parent)
        done = self.open(path, **changes)
        assert done.status == 1, done.output
        for reason in reasons:
            assert reason in done.output
        assert contents(self.into.parent) == before
        return str(done.output)


@pytest.fixture
def host(tmp_path: Path, keys: Any, flipctl: Any) -> SiteHost:
    return SiteHost(tmp_path / "opt" / "kit", keys, flipctl)


def test_a_kit_becomes_a_folder_of_private_files(host: SiteHost, make_kit: Any) -> None:
    done = host.open(make_kit(), "--json")
    assert done.status == 0, done.output
    assert json.loads(done.stdout)["changed"] is True
    assert {path.name for path in host.into.iterdir()} == FILES
    assert host.into.stat().st_mode & 0o7777 == 0o700
    assert {path.stat().st_mode & 0o7777 for path in host.into.iterdir()} == {0o600}
    assert [path.name for path in host.into.parent.iterdir()] == ["kit"]


def test_files_are_private_whatever_the_umask(host: SiteHost, make_kit: Any) -> None:
    before = os.umask(0)
    try:
        assert host.open(make_kit()).status == 0
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o7777 for path in host.into.iterdir()} == {0o600}


def test_services_take_their_parts_as_they_are(host: SiteHost, make_kit: Any, keys: Any, tmp_path: Path) -> None:
    assert host.open(make_kit()).status == 0
    parts = {name: envfile.read(host.into / name) for name in ("trust.env", "services.env", "fl-site.env")}

    def settings(kind: Any, *names: str, **more: str) -> Any:
        path = tmp_path / "service.env"
        path.unlink(missing_ok=True)
        values = {name: value for part in names for name, value in parts[part].items()}
        envfile.update(path, {**values, **more})
        return kind.load(path)

    trust = settings(TrustApiSettings, "trust.env")
    assert trust.central_hub_api_url == "https://hub.example.org/api"
    assert len(parse_payload_keys(trust.aes_key_base64.get_secret_value())) == 1
    url = "postgresql://a:b@127.0.0.1/omop"
    urls = {"DATA_ACCESS_DATABASE_URL": url, "DATA_ACCESS_OWNER_DATABASE_URL": url}
    data = settings(DataAccessSettings, "services.env", **urls)
    site = settings(
        SiteSettings,
        "fl-site.env",
        FL_SERVER_CA_FILE=str(host.into / "ca.pem"),
        FL_SITE_DIR=str(tmp_path),
        DATA_ACCESS_API_URL="http://127.0.0.1:8010",
        IMAGING_API_URL="http://127.0.0.1:8001",
        IMAGES_DIR=str(tmp_path),
    )
    assert (site.supernode_name, site.fl_server_address) == ("Trust_3", "fl.example.org:9092")
    assert trust.trust_internal_service_key == data.trust_internal_service_key
    assert site.trust_app_service_key == data.trust_app_service_key
    assert site.trust_app_service_key != data.trust_internal_service_key


def test_the_fl_client_s_part_and_kit_json_hold_no_other_secret(host: SiteHost, make_kit: Any, keys: Any) -> None:
    path = make_kit()
    done = host.open(path)
    plain = json.loads(unseal(read(path), identity(keys.site, lambda _: "")).model_dump_json())
    inside = {name: (host.into / name).read_text() for name in FILES}
    for name in ("api_key", "aes_key_base64", "internal_service_key"):
        assert plain[name] not in inside["fl-site.env"]
    for name in ("api_key", "aes_key_base64", "internal_service_key", "app_service_key"):
        assert plain[name] not in inside["kit.json"] + done.output
    assert json.loads(inside["kit.json"])["signed_by"] == keys.signed_by


def test_the_hub_s_own_ca_lies_beside_the_fl_server_s(host: SiteHost, make_kit: Any, keys: Any) -> None:
    assert host.open(make_kit(hub_ca=keys.ca.read_text())).status == 0
    assert (host.into / "hub-ca.pem").read_bytes() == keys.ca.read_bytes()


def test_opening_it_again_changes_nothing(host: SiteHost, make_kit: Any) -> None:
    path = make_kit()
    host.open(path)
    before = host.into.stat()
    done = host.open(path, "--json")
    assert json.loads(done.stdout)["changed"] is False
    after = host.into.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    "harm",
    [
        lambda kit: (kit / "trust.env").write_text("X=1\n"),
        lambda kit: (kit / "ca.pem").unlink(),
        lambda kit: (kit / "trust.env").chmod(0o644),
        lambda kit: kit.chmod(0o755),
    ],
)
def test_opening_it_again_mends_the_folder(host: SiteHost, make_kit: Any, harm: Callable[[Path], Any]) -> None:
    path = make_kit()
    host.open(path)
    before = contents(host.into)
    harm(host.into)
    assert json.loads(host.open(path, "--json").stdout)["changed"] is True
    assert contents(host.into) == before
    assert {file.stat().st_mode & 0o777 for file in host.into.iterdir()} == {0o600}
    assert host.into.stat().st_mode & 0o777 == 0o700


def test_the_kit_that_lies_there_may_be_opened_again_after_it_expired(
    host: SiteHost, make_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A playbook that is run again in the second month must not fail."""
    from flipctl.kit import cli

    class Later(cli.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + timedelta(days=60)

    path, other = make_kit("a", serial=1), make_kit("b", serial=2)
    assert host.open(path).status == 0
    monkeypatch.setattr(cli, "datetime", Later)
    assert json.loads(host.open(path, "--json").stdout)["changed"] is False
    host.refuses(other, "expired")


def test_a_newer_kit_takes_the_place_of_the_older(host: SiteHost, make_kit: Any, keys: Any) -> None:
    host.open(make_kit("a", serial=1, hub_ca=keys.ca.read_text()))
    before = contents(host.into)
    assert host.open(make_kit("b", serial=2)).status == 0
    after = contents(host.into)
    assert set(after) == FILES
    assert not {before[name] for name in before if name.endswith(".env")} & set(after.values())
    assert json.loads(after["kit.json"])["header"]["serial"] == 2
    assert [path.name for path in host.into.parent.iterdir()] == ["kit"]


def test_an_empty_folder_is_taken(host: SiteHost, make_kit: Any) -> None:
    host.into.mkdir(parents=True, mode=0o755)
    assert host.open(make_kit()).status == 0
    assert host.into.stat().st_mode & 0o777 == 0o700


class TestRefusals:
    def test_another_trust_s_kit(self, host: SiteHost, make_kit: Any) -> None:
        host.refuses(make_kit(trust_name="Trust_4"), "kit of Trust_4, not of Trust_3", "use the one made for Trust_3")

    def test_the_name_alone_does_not_make_the_trust(self, host: SiteHost, make_kit: Any) -> None:
        host.open(make_kit("a"))
        other = str(uuid4())
        host.refuses(make_kit("b", serial=9, trust_id=other), other, "move the folder away")

    def test_expired(self, host: SiteHost, make_kit: Any) -> None:
        host.refuses(make_kit(issued_days_ago=30.01), "it expired on", "reissue")

    def test_from_the_future(self, host: SiteHost, make_kit: Any) -> None:
        host.refuses(make_kit(issued_days_ago=-2), "in the future", "set this machine's clock")

    def test_signed_by_another(self, host: SiteHost, make_kit: Any, keys: Any) -> None:
        from flipctl.kit.keys import signing_key

        path = make_kit(signing_key=signing_key(keys.stranger, lambda _: ""))
        host.refuses(path, read(path).signed_by, f"expected {keys.signed_by}", "by another way")

    def test_altered(self, host: SiteHost, make_kit: Any) -> None:
        path = make_kit()
        path.write_bytes(path.read_bytes().replace(b"Trust_3", b"Trust_4", 1))
        host.refuses(path, "altered after it was signed", "fetch it again", trust="Trust_4")

    def test_cut_off(self, host: SiteHost, make_kit: Any) -> None:
        path = make_kit()
        path.write_bytes(path.read_bytes()[:-1])
        host.refuses(path, "damaged", "fetch the file again")

    def test_wrong_key(self, host: SiteHost, make_kit: Any, keys: Any) -> None:
        right, wrong = (identity(key, lambda _: "").name for key in (keys.site, keys.stranger))
        host.refuses(make_kit(), f"made for {right}", f"this key is {wrong}", key=keys.stranger)

    def test_no_key(self, host: SiteHost, make_kit: Any, keys: Any, flipctl: Any) -> None:
        where = ("--trust", "Trust_3", "--into", host.into, "--signed-by", keys.signed_by)
        done = flipctl("kit", "open", make_kit(), *where)
        assert done.status == 1
        assert "--identity" in done.output
        assert not host.into.exists()

    def test_older(self, host: SiteHost, make_kit: Any) -> None:
        old = make_kit("old", serial=1)
        host.open(make_kit("new", serial=2))
        host.refuses(old, "serial is 1", "has 2", "--allow-older")
        assert host.open(old, "--allow-older").status == 0
        assert json.loads((host.into / "kit.json").read_text())["header"]["serial"] == 1

    def test_another_of_the_same_serial(self, host: SiteHost, make_kit: Any) -> None:
        host.open(make_kit("a", serial=2))
        host.refuses(make_kit("b", serial=2), "serial is 2", "--allow-older")

    def test_a_folder_of_something_else(self, host: SiteHost, make_kit: Any) -> None:
        host.into.mkdir(parents=True)
        (host.into / "notes.txt").write_text("mine")
        host.refuses(make_kit(), "notes.txt", "move that away")

    def test_something_of_the_operator_s_beside_the_kit(self, host: SiteHost, make_kit: Any) -> None:
        host.open(make_kit("a", serial=1))
        (host.into / "notes.txt").write_text("mine")
        host.refuses(make_kit("b", serial=2), "notes.txt", "move that away")

    def test_a_link_or_a_file_in_the_folder_s_place(self, host: SiteHost, make_kit: Any, tmp_path: Path) -> None:
        host.into.parent.mkdir()
        host.into.symlink_to(tmp_path)
        host.refuses(make_kit(), "is no folder")
        host.into.unlink()
        host.into.write_text("x")
        host.refuses(make_kit(), "is no folder")

    def test_a_kit_json_nobody_can_read(self, host: SiteHost, make_kit: Any) -> None:
        path = make_kit()
        host.open(path)
        (host.into / "kit.json").write_text("{}")
        host.refuses(path, "kit.json", f"move {host.into} away")

    def test_while_another_is_at_it(self, host: SiteHost, make_kit: Any) -> None:
        path = make_kit()
        with folder.locked(host.into):
            host.refuses(path, "another flipctl", "wait")
        assert host.open(path).status == 0

    def test_a_folder_that_cannot_be(self, host: SiteHost, make_kit: Any, tmp_path: Path) -> None:
        (tmp_path / "opt").write_text("a file")
        host.refuses(make_kit(), "cannot be used")

    def test_a_malformed_fingerprint(self, host: SiteHost, make_kit: Any, flipctl: Any) -> None:
        done = flipctl("kit", "open", make_kit(), "--trust", "Trust_3", "--into", host.into, "--signed-by", "abc")
        assert done.status == 2
        assert "SHA256:" in done.output


class TestPassphrase:
    def test_it_is_asked_for_or_taken_from_the_environment(self, host: SiteHost, make_kit: Any, flipctl: Any) -> None:
        path = make_kit(to="correct horse battery")
        where = ("--trust", "Trust_3", "--into", host.into, "--signed-by", host.keys.signed_by)
        wrong = flipctl("kit", "open", path, *where, input="incorrect donkey\n")
        assert wrong.status == 1
        assert "does not open with this passphrase; type" in wrong.output
        assert "donkey" not in wrong.output
        assert not host.into.exists()
        assert flipctl("kit", "open", path, *where, input="correct horse battery\n").status == 0
        given = {"FLIP_KIT_PASSPHRASE": "correct horse battery"}
        again = flipctl("kit", "open", path, *where, "--json", env=given)
        assert json.loads(again.stdout)["changed"] is False


# Ends itself before the n-th thing it does to the file system, and tells whether it got to the end.
KILLED = """
import os, signal, sys
from pathlib import Path
from flipctl.kit import folder

into = Path(sys.argv[1])
first, second = {"kit.json": b"old", "trust.env": b"old"}, {"kit.json": b"new", "ca.pem": b"new"}
WATCHED = ("open", "os.", "shutil.", "tempfile.", "ctypes.")

def attempt(n):
    seen = 0
    def hook(event, _):
        nonlocal seen
        if event.startswith(WATCHED):
            seen += 1
            if seen == n:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    with folder.locked(into):
        folder.replace(into, second)

def lies_there():
    return {path.name: path.read_bytes() for path in into.iterdir()} if into.exists() else {}

killed, states = 0, set()
for before in (first, {}):
    n = 1
    while True:
        with folder.locked(into):
            folder.replace(into, first)
        if not before:
            folder.shutil.rmtree(into)
        if os.fork() == 0:
            attempt(n)
            os._exit(0)
        _, status = os.wait()
        found = lies_there()
        assert found in (before, second), (n, found)
        states.add(str(found))
        if status == 0:
            break
        killed += 1
        n += 1
    assert found == second
    assert [path.name for path in into.parent.iterdir()] == [into.name], list(into.parent.iterdir())
print(killed, len(states))
"""


def test_killed_at_any_step_the_old_kit_or_the_new_one_lies_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "opt" / "kit"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    killed, states = map(int, done.stdout.split())
    assert killed > 20
    assert states == 3  # nothing, old, new


def test_a_full_disk_leaves_the_old_kit_and_no_scrap(
    host: SiteHost, make_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.open(make_kit("a", serial=1))

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    assert "nothing was changed" in host.refuses(make_kit("b", serial=2), "No space left")


def test_a_file_system_that_cannot_swap_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = tmp_path / "kit"
    folder.replace(into, {"kit.json": b"old"})
    monkeypatch.setattr(folder, "_RENAME_EXCHANGE", 1 << 10)  # a flag no kernel knows: EINVAL, as such systems say
    with pytest.raises(OSError, match="use ext4") as refused:
        folder.replace(into, {"kit.json": b"new"})
    assert refused.value.filename == str(into)
    assert (into / "kit.json").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_leftovers_of_a_kill_go_with_the_next_kit(tmp_path: Path) -> None:
    leftover = tmp_path / ".kit.kit-abc"
    leftover.mkdir()
    (leftover / "trust.env").write_text("secret")
    folder.replace(tmp_path / "kit", {"kit.json": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_a_missing_folder_holds_no_kit(tmp_path: Path) -> None:
    assert folder.installed(tmp_path / "none") is None
    (tmp_path / "ca.pem").write_text("x")
    with pytest.raises(KitError, match=r"no kit\.json"):
        folder.installed(tmp_path)

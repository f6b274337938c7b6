"""`flipctl trust` and `flipctl doctor` against a real hub whose certificate is of a private CA."""

import json
from pathlib import Path
from typing import Any

import pytest

from flipctl.kit.keys import identity
from flipctl.kit.sealed import read, unseal

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"
NOT_TRUSTED = "CERTIFICATE_VERIFY_FAILED"


@pytest.fixture
def run(flipctl: Any, tls_hub: tuple[str, Path]) -> Any:
    """`run("retire", "T1", "--ca", path)` runs a verb of `flipctl trust` at the TLS hub."""
    url, _ = tls_hub

    def at_the_hub(verb: str, name: str, *options: object, env: dict[str, str] | None = None) -> Any:
        words = ("trust", verb, name, "--hub", url, "--email", EMAIL, *options)
        return flipctl(*words, env={"FLIP_PASSWORD": PASSWORD, **(env or {})})

    return at_the_hub


def _kit_options(keys: Any, out: Path) -> tuple[object, ...]:
    recipient = ("--to", keys.site.with_name("site.pub"), "--signing-key", keys.signing)
    return (*recipient, "--fl-server", "fl.example.org:9092", "--fl-ca", keys.ca, "--out", out)


def test_a_private_ca_is_trusted_where_it_is_named(run: Any, tls_hub: tuple[str, Path], tmp_path: Path) -> None:
    _, ca = tls_hub
    kit = ("--kit", tmp_path / "a.env")
    refused = run("register", "P1", *kit)
    assert (refused.status, NOT_TRUSTED in refused.output) == (1, True), refused.output
    assert run("register", "P1", *kit, "--ca", ca).status == 0
    rotated = run("rotate-key", "P1", "--kit", tmp_path / "b.env", env={"HUB_CA_FILE": str(ca)})
    assert rotated.status == 0, rotated.output
    assert "not used" in run("retire", "P1", "--ca", ca).output


def test_another_authority_is_not_trusted(run: Any, keys: Any) -> None:
    done = run("retire", "P1", "--ca", keys.ca)
    assert (done.status, NOT_TRUSTED in done.output) == (1, True), done.output


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_the_named_authority_is_the_only_one(
    run: Any, keys: Any, tls_hub: tuple[str, Path], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(tls_hub[1]))
    assert NOT_TRUSTED in run("retire", "P1", "--ca", keys.ca).output


@pytest.mark.parametrize("verb", ["onboard", "reissue"])
def test_the_ca_that_goes_into_a_kit_is_trusted_here_too(
    run: Any, keys: Any, tls_hub: tuple[str, Path], tmp_path: Path, verb: str
) -> None:
    _, ca = tls_hub
    if verb == "reissue":
        assert run("register", "P-reissue", "--kit", tmp_path / "p.env", "--ca", ca).status == 0
    options = _kit_options(keys, tmp_path / "p.flipkit")
    assert NOT_TRUSTED in run(verb, f"P-{verb}", *options).output
    done = run(verb, f"P-{verb}", *options, "--hub-ca", ca)
    assert done.status == 0, done.output
    assert unseal(read(tmp_path / "p.flipkit"), identity(keys.site, lambda _: "")).hub_ca_pem == ca.read_text()


def test_the_hub_behind_a_proxy_may_have_another_ca_than_sites_see(
    run: Any, keys: Any, tls_hub: tuple[str, Path], tmp_path: Path
) -> None:
    options = _kit_options(keys, tmp_path / "q.flipkit")
    done = run("onboard", "P2", *options, "--hub-ca", keys.ca, "--ca", tls_hub[1])
    assert done.status == 0, done.output


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_no_authority_is_refused_before_the_password(
    flipctl: Any, tls_hub: tuple[str, Path], tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    words = ("retire", "P1", "--hub", tls_hub[0], "--email", EMAIL, "--ca", path)
    done = flipctl("trust", *words, input="")
    assert (done.status, f"--ca {path}: cannot be used" in done.output) == (1, True), done.output
    assert "Password" not in done.output


def test_doctor_tries_the_hub_with_its_ca(flipctl: Any, tls_hub: tuple[str, Path], tmp_path: Path) -> None:
    url, ca = tls_hub

    def looked(*options: object) -> dict[str, Any]:
        findings = json.loads(flipctl("doctor", "--hub", url, *options, "--json").stdout)["findings"]
        return next(finding for finding in findings if finding["check"] == "hub")

    without = looked()
    assert (without["verdict"], NOT_TRUSTED in without["found"], "--ca" in without["remedy"]) == ("fault", True, True)
    assert looked("--ca", ca)["verdict"] == "ok"
    broken = looked("--ca", tmp_path / "none")
    assert (broken["verdict"], "cannot be used" in broken["found"]) == ("fault", True)

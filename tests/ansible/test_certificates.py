"""Certificates of a hub's host: made once, renewed when they must be, the operator's looked at before use."""

import shutil
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_tree import python

from flip_fl.certs import make_net_certificates

certificates = python("flip_certificate", "module_utils/flip_authority.py")
NAMES = ["Hub.example.org", "192.0.2.7", "2001:db8::7"]


@pytest.fixture
def authority(tmp_path: Path) -> Any:
    """One with a certificate for `hub`, good for 825 days."""
    made = certificates.Authority(tmp_path)
    assert made.missing()
    made.make("FLIP hub CA", 7300)
    made.provide("hub", NAMES, 825)
    return made


def test_what_was_made_will_do_and_keys_are_their_owners_alone(authority: Any) -> None:
    assert not authority.missing()
    assert authority.unfit("hub", NAMES, 90) is None
    assert authority.unfit("hub", ["192.0.2.7", "2001:DB8:0::7", "hub.EXAMPLE.org"], 90) is None
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "hub.crt": 0o644, "hub.key": 0o600}


def test_python_takes_them_strictly(authority: Any) -> None:
    client = ssl.create_default_context(cafile=authority.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.files("hub"))
    for name in NAMES:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        here = client.wrap_bio(to_client, to_server, server_hostname=name)
        there = server.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(3):
            for side in (here, there):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        assert here.getpeercert()["issuer"] == ((("commonName", "FLIP hub CA"),),)


@pytest.mark.parametrize(
    ("names", "renew_days", "reason"),
    [
        (NAMES, 826, "the certificate ends on "),
        (NAMES[:2], 90, "for other names"),
        ([*NAMES, "fl.example.org"], 90, "for other names"),
    ],
)
def test_it_is_said_why_one_will_not_do(authority: Any, names: list[str], renew_days: int, reason: str) -> None:
    assert reason in authority.unfit("hub", names, renew_days)


def test_files_that_do_not_fit_are_found_and_made_anew(authority: Any, tmp_path: Path) -> None:
    certificate, key = authority.files("hub")
    authority.provide("other", NAMES, 825)
    key.write_bytes(authority.files("other")[1].read_bytes())  # as after a run that was interrupted between the two
    assert authority.unfit("hub", NAMES, 90) == "the key is of another certificate"
    authority.provide("hub", NAMES, 825)
    assert authority.unfit("hub", NAMES, 90) is None
    certificate.unlink()
    assert authority.unfit("hub", NAMES, 90) == "there is no certificate"
    authority.provide("hub", NAMES, 825)
    authority.make("FLIP hub CA", 7300)
    assert authority.unfit("hub", NAMES, 90) == "the certificate is of another authority"


def test_an_authority_without_key_or_time_issues_nothing(authority: Any) -> None:
    with pytest.raises(certificates.CertificateError, match=r"ends on .*every trust needs a new kit"):
        authority.provide("hub", NAMES, 7301)
    authority.key.unlink()
    with pytest.raises(certificates.CertificateError, match=r"ca\.key is gone: put it back from a backup"):
        authority.provide("hub", NAMES, 825)
    assert authority.unfit("hub", NAMES, 90) is None, "what is there stays"


@pytest.mark.parametrize("name", ["hub example", "-hub", "hub..org", "a\nb", "*.example.org", "", "x" * 64])
def test_what_is_no_name_is_refused(authority: Any, name: str) -> None:
    with pytest.raises(certificates.CertificateError, match="neither a host name nor an address"):
        authority.provide("hub", [name], 825)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A certificate of the operator's, for `hub.example.org` and an address."""
    theirs = certificates.Authority(tmp_path_factory.mktemp("own"))
    theirs.make("Hospital CA", 7300)
    theirs.provide("hub", ["hub.example.org", "192.0.2.7"], 30)
    return certificates.Own(*(path.read_text() for path in theirs.files("hub")))


def test_the_operators_takes_the_place_of_the_hosts_and_back(authority: Any, own: Any) -> None:
    own.check(["Hub.example.org", "192.0.2.7"])
    assert authority.unfit("hub", NAMES, 90, own) == "the operator brought another certificate"
    authority.provide("hub", NAMES, 825, own)
    assert authority.unfit("hub", NAMES, 90, own) is None, "when it ends is the operator's business"
    assert stat.S_IMODE(authority.files("hub")[1].stat().st_mode) == 0o600
    assert authority.unfit("hub", ["hub.example.org", "192.0.2.7"], 1) == "the certificate is of another authority"


def test_an_operators_that_cannot_be_used_is_refused(authority: Any, own: Any) -> None:
    with pytest.raises(certificates.CertificateError, match=r"is not for fl\.example\.org"):
        own.check(["hub.example.org", "fl.example.org"])
    with pytest.raises(certificates.CertificateError, match=r"is not for 192\.0\.2\.8"):
        own.check(["192.0.2.8"])
    stranger = authority.files("hub")[1].read_text()
    with pytest.raises(certificates.CertificateError, match="do not belong together"):
        certificates.Own(own.certificate, stranger).check([])
    with pytest.raises(certificates.CertificateError, match="openssl pkey: "):
        certificates.Own(own.certificate, "no key").check([])


def test_an_operators_that_has_ended_is_refused(tmp_path: Path) -> None:
    files = make_net_certificates(tmp_path, ["hub.example.org"], days=0)
    ended = certificates.Own(files.cert.read_text(), files.key.read_text())
    with pytest.raises(certificates.CertificateError, match="ended on "):
        ended.check(["hub.example.org"])


def test_an_openssl_that_fails_where_a_name_does_not_match_is_understood(
    own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As version 3.5 of Debian 13 does."""
    newer = tmp_path / "openssl"
    newer.write_text(f'#!/bin/sh\nsaid=$({shutil.which("openssl")} "$@")\necho "$said"\n! echo "$said" | grep -q NOT\n')
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    own.check(["hub.example.org"])
    with pytest.raises(certificates.CertificateError, match=r"is not for fl\.example\.org"):
        own.check(["fl.example.org"])

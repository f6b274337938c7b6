"""XNAT as a server: sign-in, sessions, settings that are wrong, derived files, users, TLS."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from imaging_service import intake_to
from pydantic import SecretStr
from xnat_servers import SERVICE, Xnat
from xnat_stand_in import StandIn, data

from flip_common.wire import UpdateUserProfilePayload
from flip_trust.imaging.store import StoreError, StoreUnavailable
from flip_trust.imaging.stores import Peer

PROJECT = uuid4()

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


@pytest.fixture
async def store(xnat: Any) -> Any:
    made = xnat.store()
    await made.start()
    yield made
    await made.stop()


def user(**given: Any) -> UpdateUserProfilePayload:
    return UpdateUserProfilePayload.model_validate(
        {"username": "a.b@x.org", "email": "a.b@x.org", "full_name": "Ada Byron", "enabled": True, **given}
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": SecretStr("wrong")}, "check XNAT_USERNAME and XNAT_PASSWORD"),
        ({"pacs": "OTHER"}, "knows no PACS with AE title OTHER"),
        ({"ae_title": "NOBODY"}, "answered 500 to POST /xapi/dqr/import"),
        ({"url": "http://127.0.0.1:9"}, r"does not answer \(ConnectError\)"),
    ],
)
async def test_a_wrong_setting_is_named(
    xnat: Any, make: Any, source: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    make.series(source, "A1", slices=2)
    store = xnat.store(**change)
    await store.start()
    with pytest.raises(StoreError, match=reason) as raised:
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))
    assert "wrong" not in str(raised.value)
    await store.stop()


async def test_a_refused_password_is_not_tried_until_the_account_is_locked(xnat: Any) -> None:
    store = xnat.store(password=SecretStr("wrong"))
    await store.start()
    for _ in range(30):
        with pytest.raises(StoreError, match="refused to sign"):
            await store.remove(PROJECT, "A1")
    await store.stop()
    assert xnat.asked == ["POST /data/JSESSION"]


async def test_a_user_without_the_roles_is_told_which(xnat: Any, make: Any, source: Path, tmp_path: Path) -> None:
    with xnat.client() as client:
        client.put(f"/xapi/users/{SERVICE[0]}/roles", json=["SiteUser"]).raise_for_status()
    store = xnat.store()
    await store.start()
    with pytest.raises(StoreError, match="give flip-imaging the roles Administrator and Dqr"):
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))
    await store.stop()


async def test_a_session_that_ended_is_made_anew(
    xnat: Any, store: Any, make: Any, source: Path, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=2)
    into = tmp_path / "into"
    into.mkdir()
    xnat.stand_in.faults += [("GET", "/scans/2/resources/DICOM/files/", 401), ("PUT", "/accessibility/", 401)]
    await store.fetch(PROJECT, "A1", intake_to(into))
    assert len(list(into.iterdir())) == 2
    assert xnat.asked.count("POST /data/JSESSION") == 3
    derived = tmp_path / "input_9.nii.gz"
    derived.write_bytes(b"n" * 3_000_000)
    xnat.stand_in.faults.append(("PUT", "/files/input_9", 401))
    await store.attach(PROJECT, "A1", derived.name, derived)
    with xnat.client() as client:
        stored = client.get(f"{session_of(xnat)}/resources/NIFTI/files/{derived.name}").raise_for_status()
    assert stored.content == derived.read_bytes()
    assert "Set-Cookie" not in stored.headers


async def test_the_session_is_ended_with_the_store(xnat: Any) -> None:
    store = xnat.store()
    await store.start()
    await store.remove(PROJECT, "A1")
    assert len(xnat.stand_in.sessions) == 1
    await store.stop()
    await store.stop()
    assert xnat.stand_in.sessions == {}
    with pytest.raises(StoreUnavailable, match="not started"):
        await store.remove(PROJECT, "A1")


@pytest.mark.parametrize("path", ["/xapi/pacs", "/data/projects$", "/xapi/dqr/import$", "/scans/ALL/files"])
async def test_an_error_of_xnats_own_is_worth_another_try(
    xnat: Any, service_of: Any, make: Any, source: Path, path: str
) -> None:
    make.series(source, "A1", slices=2)
    for method in ("GET", "POST"):
        xnat.stand_in.faults.append((method, path, 500))
    async with service_of(**xnat.settings(), import_attempts=3) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
    assert (study["state"], study["attempts"] > 1) == ("IMPORTED", True)


@pytest.mark.parametrize(
    "uri", ["/data/../xapi/users", "http://elsewhere/data/x", "//elsewhere/x", "/data/x?y", "/data/x/../../xapi", ""]
)
async def test_a_path_that_leads_elsewhere_is_refused(
    xnat: Any, store: Any, make: Any, source: Path, tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.series(source, "A1", slices=2)
    monkeypatch.setattr(data, "_file_row", lambda *_: {"Name": "x", "Size": "1", "collection": "DICOM", "URI": uri})
    with pytest.raises(StoreError, match="path of a file that is none: refused"):
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))


async def test_odd_answers_are_errors_with_a_reason(xnat: Any, store: Any, tmp_path: Path) -> None:
    with xnat.stand_in.state.change() as document:
        document["site"]["initialized"] = False
    with pytest.raises(StoreError, match="answered 302 to GET /xapi/pacs"):
        await store.fetch(PROJECT, "A1", intake_to(tmp_path))


def session_of(xnat: Xnat) -> str:
    return str(xnat.rows("/data/experiments")[0]["URI"])


async def test_derived_files_show_up_in_xnat(xnat: Any, service_of: Any, make: Any, source: Path) -> None:
    make.series(source, "A1", slices=2)
    async with service_of(**xnat.settings()) as service:
        await service.imports(PROJECT, "A1")
        for name in ("label_2.nii.gz", "input_9.nii.gz", "notes.json", "notes.json"):
            query = {"project_id": str(PROJECT), "name": name}
            answer = await service.client.put("/studies/A1/resources", params=query, content=name.encode())
            assert answer.status_code == 200, answer.text
        found = {(item["collection"], item["Name"]) for item in xnat.rows(f"{session_of(xnat)}/files")}
        assert found == {("SEG", "label_2.nii.gz"), ("NIFTI", "input_9.nii.gz"), ("FILES", "notes.json")}
        # What was put back is no DICOM of the study's.
        assert (await service.imports(PROJECT, "A1"))["A1"]["images"] == 2


async def test_a_derived_file_of_a_study_that_is_gone_is_an_error(store: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no longer has the study"):
        await store.attach(PROJECT, "A1", "x.json", tmp_path)


async def test_users_are_found_by_their_address(xnat: Any, store: Any) -> None:
    made = await store.update_user(user())
    assert made.applied
    assert "user ab was made" in made.reason
    known = xnat.stand_in.state.document["users"]
    assert (known["ab"]["firstName"], known["ab"]["lastName"]) == ("Ada", "Byron")
    assert len(known["ab"]["password"]) > 40
    assert (await store.update_user(user(email="A.B@x.org", enabled=False))).applied
    assert known["ab"]["enabled"] is False
    other = await store.update_user(user(email="ab@y.org"))
    assert "user ab1 was made" in other.reason
    gone = await store.update_user(user(email="nobody@x.org", enabled=False))
    assert (gone.applied, "no user" in gone.reason) == (False, True)


@pytest.mark.parametrize("email", ["admin@example.org", "guest@example.org", "imaging@example.org"])
async def test_xnats_own_accounts_stay_as_they_are(xnat: Any, store: Any, email: str) -> None:
    before = {name: dict(item) for name, item in xnat.stand_in.state.document["users"].items()}
    result = await store.update_user(user(email=email, enabled=False))
    assert not result.applied
    assert "stays as it is" in result.reason
    assert xnat.stand_in.state.document["users"] == before


async def test_it_is_no_browser_to_xnat(xnat: Any, store: Any) -> None:
    await store.remove(PROJECT, "A1")
    session = next(iter(xnat.stand_in.sessions))
    with httpx.Client(base_url=xnat.stand_in.url, trust_env=False, timeout=60) as client:
        refused = client.post(
            "/xapi/siteConfig", json={}, headers={"User-Agent": "Mozilla/5.0", "Cookie": f"JSESSIONID={session}"}
        )
    assert refused.status_code == 403


async def test_tls_with_the_sites_own_ca(tmp_path: Path, tls_files: Any) -> None:
    ours, theirs = tls_files("xnat"), tls_files("other")
    stand_in = StandIn(tmp_path / "xnat", tls=(ours.certificate, ours.key))
    with stand_in.state.change() as document:
        document["receivers"].clear()
        document["site"]["initialized"] = True
    stand_in.start()
    xnat = Xnat(stand_in, Peer("XNAT", "127.0.0.1", 1))
    account = {"username": "admin", "password": SecretStr("admin")}
    for ca, works in ((ours.ca, True), (theirs.certificate, False), (None, False)):
        store = xnat.store(ca=ca, **account)
        await store.start()
        if works:
            await store.remove(PROJECT, "A1")
        else:
            with pytest.raises(StoreUnavailable, match="ConnectError"):
                await store.remove(PROJECT, "A1")
        await store.stop()
    stand_in.stop()


def test_the_stand_in_keeps_what_it_has(tmp_path: Path) -> None:
    for expected in (None, "kept"):
        stand_in = StandIn(tmp_path / "xnat")
        assert stand_in.state.document["site"].get("note") == expected
        with stand_in.state.change() as document:
            document["site"]["note"] = "kept"
            document["receivers"].clear()
        stand_in.start()
        stand_in.stop()

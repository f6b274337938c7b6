"""A PACS that is away, breaks off, lies, or is a stranger."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from faulty_pacs import BoastingPacs, DroppingPacs, LenientPacs
from imaging_service import dimse_settings, intake_to
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import MRImageStorage, Verification

from flip_trust.imaging.store import StoreError, StoreUnavailable
from flip_trust.imaging.stores import DimseStore, Peer

PROJECT = uuid4()

# pynetdicom 3.0 leaves the socket of a connection that failed to the garbage collector, which warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("lost_connections"),
]


async def test_a_pacs_that_is_down_then_up(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=3)
    port = free_port()
    async with service_of(**dimse_settings(port, own)) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert (study["state"], study["attempts"]) == ("FAILED", 2)
        assert study["reason"] == f"PACS PACS at 127.0.0.1:{port} is away"
        pacs_of(source, own, port=port)
        await service.client.post(f"/imports/{PROJECT}/retry")
        study = (await service.done(PROJECT))["A1"]
        assert (study["state"], study["reason"], study["attempts"]) == ("IMPORTED", "", 3)


async def test_a_pacs_that_comes_back_during_the_attempts(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=3)
    port = free_port()
    settings = {**dimse_settings(port, own), "import_attempts": 50}
    async with service_of(**settings) as service:
        body = {"project_id": str(PROJECT), "accessions": ["A1"]}
        await service.client.post("/imports", json=body)
        while (await service.client.get(f"/imports/{PROJECT}")).json()["studies"][0]["attempts"] < 2:
            pass
        pacs_of(source, own, port=port)
        assert (await service.done(PROJECT))["A1"]["state"] == "IMPORTED"


async def test_a_pacs_that_drops_in_the_middle_of_c_move(service_of: Any, make: Any, source: Path, own: Peer) -> None:
    make.series(source, "A1")
    pacs = DroppingPacs("PACS", source, [own], host="127.0.0.1", port=0)
    try:
        async with service_of(**dimse_settings(pacs.port, own)) as service:
            study = (await service.imports(PROJECT, "A1"))["A1"]
            assert (study["state"], study["images"], study["attempts"]) == ("IMPORTED", 12, 2)
            pacs.drops = 9
            make.series(source, "A2")
            study = (await service.imports(PROJECT, "A2"))["A2"]
            assert (study["state"], study["images"]) == ("FAILED", 0)
            assert "broke off" in study["reason"]
    finally:
        pacs.stop()


async def test_fewer_instances_than_announced_are_not_a_study(
    make: Any, source: Path, own: Peer, tmp_path: Path
) -> None:
    make.series(source, "A1", slices=3)
    pacs = BoastingPacs("PACS", source, [own], host="127.0.0.1", port=0)
    store = DimseStore(pacs=Peer("PACS", "127.0.0.1", pacs.port), own=own, timeout_seconds=5)
    await store.start()
    try:
        with pytest.raises(StoreUnavailable, match="3 of the study's 4 instances arrived"):
            await store.fetch(PROJECT, "A1", intake_to(tmp_path / "source"))
    finally:
        await store.stop()
        pacs.stop()


async def test_a_pacs_that_ignores_the_accession_brings_nothing_foreign(
    service_of: Any, make: Any, source: Path, own: Peer
) -> None:
    for accession in ("A1", "A2", "A3"):
        make.series(source, accession, slices=2)
    pacs = LenientPacs("PACS", source, [own], host="127.0.0.1", port=0)
    try:
        async with service_of(**dimse_settings(pacs.port, own)) as service:
            studies = await service.imports(PROJECT, "A1", "A9")
            assert studies["A9"]["state"] == "MISSING"
            assert (studies["A1"]["state"], studies["A1"]["images"]) == ("IMPORTED", 2)
    finally:
        pacs.stop()


async def test_a_pacs_that_does_not_know_us(service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer) -> None:
    make.series(source, "A1", slices=2)
    stranger = pacs_of(source, Peer("OTHER", "127.0.0.1", 1))
    async with service_of(**dimse_settings(stranger.port, own)) as service:
        assert "does it know our AE title" in (await service.imports(PROJECT, "A1"))["A1"]["reason"]


async def test_a_pacs_that_cannot_reach_us_back(
    service_of: Any, pacs_of: Any, make: Any, source: Path, own: Peer, free_port: Any
) -> None:
    make.series(source, "A1", slices=2)
    pacs = pacs_of(source, Peer(own.ae_title, own.host, free_port()))
    async with service_of(**dimse_settings(pacs.port, own)) as service:
        study = (await service.imports(PROJECT, "A1"))["A1"]
        assert study["state"] == "FAILED"
        assert "C-MOVE" in study["reason"]


async def test_an_own_port_that_is_taken_stops_the_start(service_of: Any, pacs_of: Any, tmp_path: Path) -> None:
    taken = pacs_of(tmp_path / "pacs", Peer("X", "127.0.0.1", 1)).port
    with pytest.raises(StoreError, match=f"cannot listen for the PACS on 127.0.0.1:{taken}"):
        async with service_of(**dimse_settings(1, Peer("FLIP", "127.0.0.1", taken))):
            pass


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "FLIP"), ("PACS", "OTHER")])
async def test_strangers_cannot_associate(service_of: Any, own: Peer, calling: str, called: str) -> None:
    async with service_of(**dimse_settings(1, own)):
        application = AE(ae_title=calling)
        application.add_requested_context(Verification)
        association = application.associate(own.host, own.port, ae_title=called)
        assert association.is_rejected


async def test_what_was_not_asked_for_is_not_taken(service_of: Any, make: Any, tmp_path: Path, own: Peer) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=1)
    async with service_of(**dimse_settings(1, own)):
        application = AE(ae_title="PACS")
        application.add_requested_context(MRImageStorage)
        association = application.associate(own.host, own.port, ae_title=own.ae_title)
        assert association.send_c_store(dcmread(phantom.files[0])).Status == 0x0124
        association.release()
    assert list((tmp_path / "data").rglob("*.dcm")) == []

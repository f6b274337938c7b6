"""What every ImagingStore must do, tried on all of them."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pydicom
import pytest
from imaging_service import intake_to
from pydicom.uid import generate_uid

from flip_common.wire import UpdateUserProfilePayload
from flip_trust.imaging.intake import TooLarge
from flip_trust.imaging.room import NoRoom
from flip_trust.imaging.store import StudyMissing

PROJECT = uuid4()


@pytest.fixture
def accession() -> str:
    return f"A{uuid4().hex[:12]}"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def uids(folder: Path) -> list[str]:
    return sorted(str(pydicom.dcmread(path).SOPInstanceUID) for path in folder.glob("*.dcm"))


async def test_it_brings_every_instance_unchanged(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    phantom = make.series(tmp_path / "made", accession)
    labels = (phantom.voxels == 2000).astype("uint8")
    phantom.files.append(make.segmentation(tmp_path / "made", phantom, labels))
    world.add(phantom.files)
    await world.store.fetch(PROJECT, accession, intake_to(into))
    wanted = {str(pydicom.dcmread(path).SOPInstanceUID): pydicom.dcmread(path) for path in phantom.files}
    assert uids(into) == sorted(wanted)
    for path in into.iterdir():
        got = pydicom.dcmread(path)
        assert got.PixelData == wanted[str(got.SOPInstanceUID)].PixelData


async def test_several_studies_of_one_accession_all_come(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    first = make.series(tmp_path / "made", accession, slices=3)
    second = make.series(tmp_path / "made", accession, slices=4, number=7, study_uid=generate_uid())
    world.add(first.files + second.files)
    await world.store.fetch(PROJECT, accession, intake_to(into))
    assert len(uids(into)) == 7


async def test_an_unknown_accession_is_missing(world: Any, make: Any, tmp_path: Path, into: Path) -> None:
    world.add(make.series(tmp_path / "made", f"A{uuid4().hex[:12]}", slices=2).files)
    with pytest.raises(StudyMissing):
        await world.store.fetch(PROJECT, "NOSUCHSTUDY", intake_to(into))
    assert list(into.iterdir()) == []


async def test_an_accession_that_begins_alike_is_not_taken(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    world.add(make.series(tmp_path / "made", f"{accession}1", slices=2).files)
    with pytest.raises(StudyMissing):
        await world.store.fetch(PROJECT, accession, intake_to(into))


@pytest.mark.parametrize("pattern", ["*", "A*", "A?*"])
async def test_a_wildcard_that_slips_through_matches_nothing(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str, pattern: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=2).files)
    with pytest.raises(StudyMissing):
        await world.store.fetch(PROJECT, pattern, intake_to(into))
    assert list(into.iterdir()) == []


async def test_fetching_again_brings_the_whole_study_again(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=3).files)
    await world.store.fetch(PROJECT, accession, intake_to(into))
    once = uids(into)
    again = tmp_path / "again"
    again.mkdir()
    await world.store.fetch(PROJECT, accession, intake_to(again))
    assert uids(again) == once


async def test_different_accessions_at_the_same_time_do_not_mix(
    world: Any, make: Any, tmp_path: Path, accession: str
) -> None:
    names = [f"{accession}{letter}" for letter in "abcd"]
    folders = []
    for number, name in enumerate(names):
        world.add(make.series(tmp_path / "made", name, slices=3 + number).files)
        folders.append(tmp_path / name)
        folders[-1].mkdir()
    await asyncio.gather(
        *(world.store.fetch(PROJECT, name, intake_to(to)) for name, to in zip(names, folders, strict=True))
    )
    for number, (name, folder) in enumerate(zip(names, folders, strict=True)):
        assert {str(pydicom.dcmread(path).AccessionNumber) for path in folder.iterdir()} == {name}
        assert len(uids(folder)) == 3 + number


async def test_release_and_remove_leave_the_source_alone(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=2).files)
    before = world.source_files(accession)
    assert before
    await world.store.fetch(PROJECT, accession, intake_to(into))
    await world.store.release(PROJECT, accession)
    await world.store.release(PROJECT, accession)
    await world.store.remove(PROJECT, accession)
    assert world.source_files(accession) == before


@pytest.mark.parametrize(
    ("limit", "named"),
    [
        ({"instance": 1500}, "an instance is over INSTANCE_MAX_BYTES=1500 bytes"),
        ({"study": 15_000}, "the study is over STUDY_MAX_BYTES=15000 bytes"),
        ({"project": 15_000}, "would bring the project over PROJECT_MAX_BYTES=15000 bytes"),
    ],
)
async def test_no_more_comes_in_than_is_allowed(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str, limit: dict[str, int], named: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=6).files)
    with pytest.raises(TooLarge, match=named):
        await world.store.fetch(PROJECT, accession, intake_to(into, **limit))
    assert sum(path.stat().st_size for path in into.iterdir()) <= max(limit.values())
    await world.store.release(PROJECT, accession)
    again = tmp_path / "again"
    again.mkdir()
    await world.store.fetch(PROJECT, accession, intake_to(again))
    assert len(uids(again)) == 6


async def test_the_disks_reserve_is_left_alone(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=2).files)
    with pytest.raises(NoRoom, match=f"DISK_RESERVE_BYTES={1 << 60} must stay"):
        await world.store.fetch(PROJECT, accession, intake_to(into, reserve=1 << 60))
    assert list(into.iterdir()) == []
    await world.store.release(PROJECT, accession)


async def test_a_cancelled_fetch_stops(world: Any, make: Any, tmp_path: Path, into: Path, accession: str) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=40).files)
    task = asyncio.create_task(world.store.fetch(PROJECT, accession, intake_to(into)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = len(list(into.iterdir()))
    await asyncio.sleep(0.1)
    assert len(list(into.iterdir())) == count


async def test_users_are_made_where_a_store_has_them(world: Any) -> None:
    user = UpdateUserProfilePayload(username="u", email="u@x.org", enabled=True)
    result = await world.store.update_user(user)
    assert result.applied == world.has_users
    assert result.reason


async def test_a_derived_file_is_taken_and_the_project_can_go(
    world: Any, make: Any, tmp_path: Path, into: Path, accession: str
) -> None:
    world.add(make.series(tmp_path / "made", accession, slices=2).files)
    await world.store.fetch(PROJECT, accession, intake_to(into))
    derived = tmp_path / "label_1.nii.gz"
    derived.write_bytes(b"derived")
    await world.store.attach(PROJECT, accession, derived.name, derived)
    await world.store.attach(PROJECT, accession, derived.name, derived)
    assert derived.read_bytes() == b"derived"
    await world.store.remove(PROJECT, accession)
    await world.store.remove_project(PROJECT)
    await world.store.remove_project(PROJECT)

"""Image archives are read before they are loaded, and a damaged one is known."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_tree import python

archive = python("flip_images", "module_utils/flip_image_archive.py")
LAYER = b"layer" * 2000


def _configuration(created: str = "2026-01-01T00:00:00Z") -> bytes:
    return json.dumps({"created": created, "rootfs": {"diff_ids": ["sha256:1"]}}).encode()


def _manifest(configuration: str, tag: str = "flip/alpha:1") -> bytes:
    return json.dumps([{"Config": configuration, "RepoTags": [tag], "Layers": ["1/layer.tar"]}]).encode()


def _parts(style: str = "{}.json", **changed: Any) -> dict[str, bytes]:
    """What `docker save` writes, by name; engines since 25 keep configurations under blobs/sha256."""
    configuration = style.format(hashlib.sha256(_configuration()).hexdigest())
    parts = {configuration: _configuration(), "1/layer.tar": LAYER, "manifest.json": _manifest(configuration)}
    return parts | changed


def _write(path: Path, parts: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _packed(path: Path) -> Path:
    subprocess.run(["zstd", "-q", "--rm", path], check=True)
    return path.with_name(f"{path.name}.zst")


@pytest.mark.parametrize("style", ["{}.json", "blobs/sha256/{}"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_it_holds_is_known(tmp_path: Path, style: str, packed: bool) -> None:
    path = _write(tmp_path / "a.tar", _parts(style))
    path = _packed(path) if packed else path
    found = archive.read(str(path))
    assert found["path"] == str(path)
    assert found["size"] == path.stat().st_size
    assert found["bytes"] == sum(len(content) for content in _parts(style).values())
    (image,) = found["images"]
    assert image == {
        "id": f"sha256:{hashlib.sha256(_configuration()).hexdigest()}",
        "tags": ["flip/alpha:1"],
        "layers": ["sha256:1"],
        "created": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"content": b""}, "holds no images; an archive is made by `docker save"),
        (_parts(**{"manifest.json": b"["}), "is no archive of `docker save`"),
        (_parts(**{"manifest.json": b"[{}]"}), "is no archive of `docker save`"),
        (_parts(**{"manifest.json": _manifest("other.json")}), "lacks other.json"),
        ({name: content for name, content in _parts().items() if "layer" not in name}, "lacks 1/layer.tar"),
        (
            _parts(**{f"{hashlib.sha256(_configuration()).hexdigest()}.json": _configuration("2027-01-01T00:00:00Z")}),
            "was altered",
        ),
    ],
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, parts: dict[str, bytes], said: str) -> None:
    path = _write(tmp_path / "a.tar", parts)
    with pytest.raises(archive.ArchiveError) as caught:
        archive.read(str(path))
    assert str(caught.value).startswith(f"{path} {said}")


@pytest.mark.parametrize("packed", [False, True])
def test_one_that_is_cut_off_is_refused(tmp_path: Path, packed: bool) -> None:
    path = _write(tmp_path / "a.tar", _parts())
    path = _packed(path) if packed else path
    path.write_bytes(path.read_bytes()[: 300 if packed else 5000])
    with pytest.raises(archive.ArchiveError, match=r"cannot be read .*sha256sum"):
        archive.read(str(path))


def test_what_zstd_complains_of_is_said_though_the_tar_is_whole(tmp_path: Path) -> None:
    path = _packed(_write(tmp_path / "a.tar", _parts()))
    path.write_bytes(path.read_bytes() + b"no frame of zstd's")
    with pytest.raises(archive.ArchiveError, match=r"cannot be read .*zst.*sha256sum"):
        archive.read(str(path))


def test_zeros_behind_the_archives_end_do_no_harm(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.tar", _parts())
    path.write_bytes(path.read_bytes() + bytes(8 << 20))
    assert len(archive.read(str(_packed(path)))["images"]) == 1


@pytest.mark.parametrize("name", ["a.tar", "a.tar.zst"])
def test_one_that_is_absent_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(archive.ArchiveError, match=f"{name} is not there"):
        archive.read(str(tmp_path / name))

"""Uploads: what is unsafe is refused before it is unpacked, and nothing ever lands outside the folder."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flip_common.appcheck import Limits, UnsafeArchiveError, build_zip, check_zip, safe_extract
from flip_common.appcheck.archive import _write as write_member
from flip_common.appcheck.report import Collector

from .conftest import GOOD, write


def packed(files: dict[str, bytes | str], mode: int = 0, **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, options.get("method", zipfile.ZIP_DEFLATED)
            archive.writestr(entry, content)
    return buffer.getvalue()


def codes(data: bytes, limits: Limits | None = None) -> set[str]:
    return {finding.code for finding in check_zip(io.BytesIO(data), limits or Limits()).findings}


def test_a_good_app_passes_with_and_without_its_folder(tmp_path: Path) -> None:
    assert codes(packed(GOOD)) == set()
    assert codes(packed({f"my-app/{name}": text for name, text in GOOD.items()})) == set()
    assert codes(packed({**{f"a/{n}": t for n, t in GOOD.items()}, "__MACOSX/a/._x": "junk"})) == set()
    (tmp_path / "app.zip").write_bytes(packed(GOOD))
    assert check_zip(tmp_path / "app.zip").ok
    assert check_zip(str(tmp_path / "app.zip")).ok


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../evil.py", "climbing-path"),
        ("app/../../evil.py", "climbing-path"),
        ("/etc/evil", "absolute-path"),
        ("C:/evil", "absolute-path"),
        ("app\\..\\evil.py", "odd-name"),
        ("app//x.py", "odd-name"),
        ("./x.py", "odd-name"),
        ("app/\x07.py", "odd-name"),
        ("app/x\u202egnp.py", "odd-name"),
        ("app/aux.py", "odd-name"),
        ("app/trailing.", "odd-name"),
        ("app/ space", "odd-name"),
        ("a/" * 20 + "deep.py", "odd-name"),
        ("x" * 300, "odd-name"),
        ("APP/client_app.py", "name-collision"),
        ("app/\uff48elper.py", "name-collision"),
        ("app/helper.py/inside", "name-collision"),
        ("os.py", "shadows-module"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: str, code: str) -> None:
    data = packed({**GOOD, name: "x = 1"})
    assert code in codes(data)
    if code != "shadows-module":
        with pytest.raises(UnsafeArchiveError):
            safe_extract(io.BytesIO(data), tmp_path / "into" / "app")
        assert not list(tmp_path.rglob("*evil*"))


def test_a_name_cut_by_a_null_byte_is_judged_whole() -> None:
    data = packed({**GOOD, "app/xQ.py": "x"}).replace(b"app/xQ.py", b"app/x\0.py")
    assert codes(data) == {"odd-name"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_devices_are_refused(kind: int) -> None:
    assert codes(packed({"app/link": "/etc/passwd"}, mode=kind | 0o777)) == {"link"}


def test_the_same_name_twice_is_refused() -> None:
    data = packed({"a.md": "1", "b.md": "2"}).replace(b"b.md", b"a.md")
    assert codes(data) == {"name-collision"}


def test_too_many_files_are_refused_from_the_end_record_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed({f"app/f{i}.md": "" for i in range(10_000)})
    assert codes(data) == {"too-many-files"}
    hidden = bytearray(data)
    end = hidden.rfind(b"PK\5\6")
    struct.pack_into("<HH", hidden, end + 8, 1, 1)  # the record lies about the number
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", None)  # reading the directory would itself be the attack
        assert codes(bytes(hidden)) == {"too-many-files"}
    assert codes(packed({f"f{i}.md": "" for i in range(11)}), Limits(files=10)) == {"too-many-files"}


def test_bombs_are_refused() -> None:
    zeros = b"\0" * 5_000_000
    assert codes(packed({**GOOD, "app/zeros.json": zeros})) == {"bomb"}
    assert codes(packed({**GOOD, "app/zeros.json": zeros}, method=zipfile.ZIP_STORED)) == set()
    assert codes(packed({**GOOD, "app/big.md": "x" * 600_000}), Limits(file_bytes=500_000)) == {"bomb"}
    assert codes(packed({**GOOD, "a.md": "x" * 600_000}), Limits(total_bytes=500_000)) == {"bomb"}
    assert codes(packed(GOOD), Limits(archive_bytes=100)) == {"too-large"}


def test_a_bomb_that_lies_about_its_size_stops_while_it_is_read(tmp_path: Path) -> None:
    data = bytearray(packed({"a.md": b"\0" * 5_000_000}))
    for signature, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<I", data, data.rfind(signature) + offset, 1000)
    with pytest.raises(UnsafeArchiveError, match=r"damaged|bomb"):
        safe_extract(io.BytesIO(bytes(data)), tmp_path / "app", Limits(total_bytes=10_000))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.md")) <= 10_000


def test_a_member_that_gives_more_than_it_says_is_cut_off(tmp_path: Path) -> None:
    # Python's own reader stops at the size the directory claims; this must hold with another reader too.
    with zipfile.ZipFile(io.BytesIO(packed({"a.md": b"x" * 5000}))) as archive:
        entry = archive.infolist()[0]
        with pytest.raises(UnsafeArchiveError, match="bomb"):
            write_member(archive, entry, tmp_path / "a.md", 4999, Collector())
        assert not (tmp_path / "a.md").read_bytes()
        assert write_member(archive, entry, tmp_path / "b.md", 5000, Collector()) == 5000


def test_encrypted_and_odd_methods_are_refused() -> None:
    data = bytearray(packed({"a.md": "x"}))
    data[data.rfind(b"PK\1\2") + 8] |= 1
    assert codes(bytes(data)) == {"encrypted"}
    assert codes(packed({"a.md": "x"}, method=zipfile.ZIP_BZIP2)) == {"compression"}


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip", b"PK\5\6" + b"\0" * 18, b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_zip_is_said_to_be_none(data: bytes) -> None:
    assert codes(data) <= {"not-a-zip", "no-pyproject", "too-many-files", "no-status-call"}
    assert not check_zip(io.BytesIO(data)).ok


def test_zip64_is_refused() -> None:
    end = packed(GOOD)
    at = end.rfind(b"PK\5\6")
    assert codes(end[:at] + b"PK\6\7" + b"\0" * 16 + end[at:]) == {"too-many-files"}


def test_damage_is_found_while_reading(tmp_path: Path) -> None:
    data = packed({"a.md": b"x" * 50}, method=zipfile.ZIP_STORED).replace(b"x" * 50, b"x" * 49 + b"y")
    assert codes(data) == {"damaged"}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_spoilt_archive_gives_a_report_and_never_a_crash(changes: list[tuple[int, int]]) -> None:
    data = bytearray(packed(GOOD))
    for place, value in changes:
        data[place % len(data)] = value
    check_zip(io.BytesIO(bytes(data)))


def test_an_entry_that_begins_before_the_archive_is_reported() -> None:
    data = bytearray(packed(GOOD))
    place = slice(at := data.rfind(b"PK\5\6") + 16, at + 4)  # where the directory claims to begin
    data[place] = (int.from_bytes(data[place], "little") + 256).to_bytes(4, "little")
    report = check_zip(io.BytesIO(bytes(data)))
    assert [finding.code for finding in report.findings] == ["damaged"]


def test_unpacking_gives_plain_files_and_leaves_junk_out(tmp_path: Path) -> None:
    files = {f"top/{name}": text for name, text in GOOD.items()}
    data = packed({**files, "top/app/__pycache__/x.pyc": "junk"}, mode=stat.S_IFREG | 0o4777)
    root = safe_extract(io.BytesIO(data), tmp_path / "app")
    assert root == tmp_path / "app" / "top"
    below = [path for path in root.rglob("*") if path.is_file()]
    assert {path.relative_to(root).as_posix() for path in below} == set(GOOD)
    assert {stat.S_IMODE(path.stat().st_mode) for path in below} == {0o644}
    with pytest.raises(FileExistsError):
        safe_extract(io.BytesIO(data), tmp_path / "app")


def test_the_same_folder_is_always_the_same_zip(tmp_path: Path) -> None:
    first = build_zip(write(tmp_path / "one", GOOD))
    second = write(tmp_path / "two", dict(reversed(GOOD.items())))
    (second / "app" / "__pycache__").mkdir()
    (second / "app" / "__pycache__" / "x.pyc").write_text("junk")
    (second / "app" / "helper.py").chmod(0o755)
    assert build_zip(second) == first
    assert check_zip(io.BytesIO(first)).findings == ()
    (second / "link").symlink_to("app")
    with pytest.raises(ValueError, match="link"):
        build_zip(second)

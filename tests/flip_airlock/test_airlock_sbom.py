"""Bills of materials: everything that is inside is in them, nothing that was taken away, and both formats are valid."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airlock import Airlock
from airlock_images import deb, image, layer, metadata, status, wheel
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as some
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from flip_airlock import AirlockError
from flip_airlock.manifest import Entry
from flip_airlock.pack import contents, parts, sbom
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.contents import DEB, LAYER, WHEEL, Package
from flip_airlock.pack.parts import Part

STATUS = "var/lib/dpkg/status"
SITE = "opt/venv/lib/python3.11/site-packages"
SYSTEM: dict[str, bytes | str | None] = {
    "usr/lib/os-release": b'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n',
    "etc/os-release": "../usr/lib",
}
HOSTILE = '<script>alert("1")</script>'.replace("/", "")
RELEASE = sbom.Release("1.0.0", 1_790_000_000, "0" * 40)
COPYRIGHT = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: "


def of_image(airlock: Airlock, *layers: bytes) -> Part:
    with airlock.store.alone():
        return parts.of_image(airlock.store, image(airlock.store, "flip/one:1.0.0", layers))


def of_file(airlock: Airlock, path: str, content: bytes) -> Part:
    with airlock.store.alone():
        return parts.of_file(airlock.store, Entry(path, airlock.store.put([content])))


def names(part: Part) -> list[str]:
    return [f"{package.name} {package.version}" for package in part.packages]


def test_packages_of_both_kinds_are_found_as_they_are_installed(airlock: Airlock) -> None:
    part = of_image(
        airlock,
        layer(
            {
                **SYSTEM,
                STATUS: status(("bash", "5.2-1")) + status(("gone", "1"), state="deinstall ok config-files"),
                "var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12.4\nArchitecture: arm64",
                "var/lib/dpkg/status.d/base.md5sums": b"Package: not-one\nVersion: 1\n",
                "usr/share/doc/bash/copyright": COPYRIGHT + b"GPL-3+\n",
            }
        ),
        layer(
            {
                f"./{SITE}/attrs-26.1.0.dist-info/METADATA": metadata("attrs", "26.1.0", "License-Expression: MIT"),
                f"{SITE}/setuptools/_vendor/wheel-1.dist-info/METADATA": metadata("wheel", "1"),
                "usr/lib/python3/dist-packages/old-2.egg-info": metadata("old", "2", "License: Apache 2.0"),
                "usr/share/doc/attrs/METADATA": metadata("no", "1"),
            }
        ),
    )
    assert part.system == "debian 12"
    assert part.problems == ()
    assert part.packages == (
        Package("deb", "base-files", "12.4", "arm64", "base-files 12.4"),
        Package("deb", "bash", "5.2-1", "amd64", "src-bash 1:5.2-1", ("GPL-3.0-or-later",)),
        Package("pypi", "attrs", "26.1.0", licences=("MIT",)),
        Package("pypi", "old", "2", licences=("Apache-2.0",)),
        Package("pypi", "wheel", "1"),
    )
    assert [parts.purl(package, part.system) for package in part.packages[1:3]] == [
        "pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12",
        "pkg:pypi/attrs@26.1.0",
    ]


def metadata_of(name: str) -> str:
    return f"{SITE}/{name}.dist-info/METADATA"


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ({}, ["one 1", "two 1"]),
        ({metadata_of("one"): metadata("one", "2")}, ["one 2", "two 1"]),
        ({f"{SITE}/.wh.one.dist-info": b""}, ["two 1"]),
        ({f"{SITE}/one.dist-info/.wh.METADATA": b""}, ["two 1"]),
        ({"opt/.wh.venv": b""}, []),
        ({f"{SITE}/.wh..wh..opq": b"", metadata_of("new"): metadata("new", "1")}, ["new 1"]),
        ({metadata_of("new"): metadata("new", "1"), f"{SITE}/.wh..wh..opq": b""}, ["new 1"]),
        ({".wh..wh..opq": b""}, []),
        ({"opt/venv": "../elsewhere"}, []),
        ({f"{SITE}/.wh.on": b"", "opt/venv/lib/.wh.two.dist-info": b""}, ["one 1", "two 1"]),
        ({metadata_of("one"): None}, ["two 1"]),
    ],
)
def test_what_an_upper_layer_takes_away_is_not_there(
    airlock: Airlock, upper: dict[str, bytes | str | None], left: list[str]
) -> None:
    lower = {metadata_of("one"): metadata("one", "1"), metadata_of("two"): metadata("two", "1")}
    part = of_image(airlock, layer(lower), layer(upper))
    assert (names(part), part.problems) == (left, ())


def test_what_cannot_be_read_is_said_and_the_rest_is_listed(airlock: Airlock) -> None:
    cut = status(("whole", "1"), ("cut", "2"))[:-60]
    part = of_image(
        airlock,
        layer(
            {
                STATUS: cut,
                metadata_of("latin"): metadata("latin", "1").replace(b"text", b"\xe4") + b"Author: \xe4",
                metadata_of("nameless"): b"Version: 1\n\n",
                metadata_of("slash"): metadata("../../etc", "1"),
                metadata_of("linked"): "elsewhere",
                metadata_of(HOSTILE): metadata(HOSTILE, "1\u202e2"),
            }
        ),
        b"no archive at all" * 100,
        layer({"big": bytes(50_000)})[:20_000],
    )
    assert names(part) == ["whole 1", f"{HOSTILE} 1\\u202e2", "latin 1"]
    told = "\n".join(part.problems)
    assert f"{STATUS} has a paragraph without name or version" in told
    assert f"{metadata_of('latin')} is not UTF-8" in told
    assert f"{metadata_of('nameless')} has no name or no version" in told
    assert f"{metadata_of('slash')} has no name or no version" in told
    assert told.count("could not be read to its end") == 2
    at_the_end = of_image(airlock, layer({STATUS: status(("whole", "1"))[:-1]}))
    assert (names(at_the_end), at_the_end.problems) == (
        ["whole 1"],
        (f"{STATUS} is cut off; packages may be missing",),
    )


def test_a_file_that_is_too_large_to_be_parsed(airlock: Airlock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST", 50)
    part = of_image(airlock, layer({STATUS: status(("bash", "1"))}))
    assert (part.packages, part.problems) == ((), (f"{STATUS} has more than 50 bytes",))


@pytest.mark.parametrize("packed", ["", ".gz", ".xz", ".zst"])
def test_debian_packages_say_what_they_are(airlock: Airlock, packed: str) -> None:
    control = "Package: odd\nVersion: 2:1.0-1\nArchitecture: all\nDescription: one\n more\n"
    copyright_file = COPYRIGHT + b"Expat\n\nFiles: b\nLicense: GPL-2 or Artistic\n"
    content = deb(control, {"usr/bin/odd": b"x" * 999, "usr/share/doc/odd/copyright": copyright_file}, packed)
    part = of_file(airlock, "apt/odd_1.0-1_all.deb", content)
    wanted = Package("deb", "odd", "2:1.0-1", "all", "odd 2:1.0-1", ("GPL-2.0-only OR Artistic-1.0-Perl", "MIT"))
    assert (part.packages, part.problems) == ((wanted,), ())
    assert parts.purl(wanted, "") == "pkg:deb/odd@2:1.0-1?arch=all"


def test_wheels_say_what_they_are_and_other_files_nothing(airlock: Airlock) -> None:
    text = metadata("Odd_Name", "1", "Classifier: License :: OSI Approved :: MIT License")
    part = of_file(airlock, "wheels/odd.whl", wheel({"odd/a.py": b"", "odd_name-1.dist-info/METADATA": text}))
    assert part.packages == (Package("pypi", "Odd_Name", "1", licences=("MIT",)),)
    assert parts.purl(part.packages[0], "") == "pkg:pypi/odd-name@1"
    assert of_file(airlock, "notes.txt", text).packages == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.deb", b"none"),
        ("a.deb", b"!<arch>\n"),
        ("a.deb", deb("Version: 1\n", {})),
        ("a.deb", deb("Package: a\nVersion: 1\n", {})[:150]),
        ("a.deb", b"!<arch>\n" + b"x" * 60),
        ("a.whl", b"none"),
        ("a.whl", wheel({"a.py": b""})),
        ("a.whl", wheel({"a.dist-info/METADATA": metadata("a", "1") * 50})[:-80]),
        ("a.whl", wheel({"a.dist-info/METADATA": b"Name: a\n"})),
    ],
)
def test_files_that_are_not_what_their_name_says(airlock: Airlock, name: str, content: bytes) -> None:
    part = of_file(airlock, name, content)
    assert part.packages == ()
    assert len(part.problems) == 1


@settings(max_examples=60, deadline=None)
@given(some.sampled_from([LAYER, DEB, WHEEL]), some.binary(max_size=300), some.integers(0, 1200), some.data())
def test_no_content_stops_the_packer(
    tmp_path_factory: pytest.TempPathFactory, kind: str, junk: bytes, at: int, data: Any
) -> None:
    whole = {
        LAYER: layer({STATUS: status(("bash", "1")), metadata_of("a"): metadata("a", "1")}),
        DEB: deb("Package: a\nVersion: 1\n", {"usr/share/doc/a/copyright": COPYRIGHT}, ".gz"),
        WHEEL: wheel({"a.dist-info/METADATA": metadata("a", "1")}),
    }[kind]
    content = whole[:at] + junk + whole[at + data.draw(some.integers(0, 300)) :]
    store = PackStore(tmp_path_factory.mktemp("store"))
    with store.alone():
        contents.inside(store, store.put([content]), kind)


def test_a_blob_is_read_once(airlock: Airlock, monkeypatch: pytest.MonkeyPatch) -> None:
    content = layer({STATUS: status(("bash", "1")), "a/.wh.b": b"", "c/.wh..wh..opq": b""})
    with airlock.store.alone():
        digest = airlock.store.put([content])
        found = contents.inside(airlock.store, digest, LAYER)
        reads: list[str] = []
        read = PackStore.read

        def counted(store: PackStore, digest: str) -> Iterator[bytes]:
            reads.append(digest)
            return read(store, digest)

        monkeypatch.setattr(PackStore, "read", counted)
        assert contents.inside(airlock.store, digest, LAYER) == found
        assert reads == []
        kept = airlock.store.folder / "inside" / f"{digest}.layer.json"
        for other in (
            b"",
            b"{}",
            b"[]",
            kept.read_bytes().replace(b'"version": 1', b'"version": 0'),
            b'{"version": 1}',
        ):
            kept.write_bytes(other)
            assert contents.inside(airlock.store, digest, LAYER) == found
        assert len(reads) == 5


def test_a_damaged_blob_is_refused(airlock: Airlock) -> None:
    with airlock.store.alone():
        digest = airlock.store.put([layer({STATUS: status(("bash", "1"))}) + b"after the end"])
        path, encoding = airlock.store.find(digest) or (Path(), "")
        path.unlink()
        other = airlock.store.put([layer({STATUS: status(("bash", "1"))}) + b"AFTER the end"])
        made = airlock.store.path(other, encoding)
        made.rename(path)
        with pytest.raises(AirlockError, match="is damaged"):
            contents.inside(airlock.store, digest, LAYER)


def test_a_licence_that_one_image_tells_holds_for_the_package_in_all() -> None:
    told, untold = Package("deb", "bash", "1", licences=("MIT",)), Package("deb", "bash", "1")
    made = [Part("image", f"flip/{at}:1", "0" * 64, "", (each,), ()) for at, each in enumerate((untold, told))]
    assert [(package, holders) for package, holders in parts.by_purl(made).values()] == [(told, made)]


def some_parts(airlock: Airlock) -> list[Part]:
    """An image with all that is odd, another that shares a package with it, and two files."""
    everything = layer(
        {
            **SYSTEM,
            STATUS: status(("bash", "5.2-1"), (HOSTILE, f"1{HOSTILE}")),
            metadata_of("a"): metadata("a", "1", "License: BSD", "Classifier: License :: OSI Approved :: BSD License"),
            metadata_of("b"): metadata("b", "1", "License-Expression: MIT OR Apache-2.0"),
            metadata_of("c"): metadata("c", "1", f"License: {HOSTILE}"),
            metadata_of("d"): metadata("d", "1\udc80".encode(errors="surrogateescape").decode(errors="replace")),
            metadata_of("e"): metadata(
                "e",
                "1",
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: BSD License",
            ),
            metadata_of("f"): metadata(
                "f",
                "1",
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: License :: OSI Approved :: ISC License (ISCL)",
            ),
        }
    )
    with airlock.store.alone():
        images = [
            image(airlock.store, "flip/one:1.0.0", [everything]),
            image(airlock.store, "reg.example:5000/two:1.0.0", [layer({**SYSTEM, STATUS: status(("bash", "5.2-1"))})]),
        ]
        files = {"apt/odd.deb": deb("Package: odd\nVersion: 1\n", {}), "notes.txt": b"text"}
        entries = [Entry(path, airlock.store.put([content])) for path, content in files.items()]
        return [
            *(parts.of_image(airlock.store, each) for each in images),
            *(parts.of_file(airlock.store, entry) for entry in entries),
        ]


def test_cyclonedx_is_valid_and_says_all(airlock: Airlock) -> None:
    made = some_parts(airlock)
    text = sbom.cyclonedx(RELEASE, made)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode()) is None
    document = json.loads(text)
    assert document["metadata"]["timestamp"] == "2026-09-21T14:13:20+00:00"
    by_ref = {component["bom-ref"]: component for component in document["components"]}
    bash = by_ref["pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12"]
    assert bash["purl"] == bash["bom-ref"]
    assert [each["value"] for each in bash["properties"] if each["name"] == "flip:in"] == [
        "flip/one:1.0.0",
        "reg.example:5000/two:1.0.0",
    ]
    licensed = {name: by_ref[f"pkg:pypi/{name}@1"].get("licenses") for name in "abcef"}
    declared = {"acknowledgement": "declared"}
    assert licensed == {
        "a": [{"license": {"name": "BSD", **declared}}],
        "b": [{"expression": "MIT OR Apache-2.0", **declared}],
        "c": [{"license": {"name": HOSTILE, **declared}}],
        "e": [{"license": {"name": "BSD License", **declared}}, {"license": {"name": "MIT", **declared}}],
        "f": [{"expression": "ISC AND MIT", **declared}],
    }
    assert by_ref["file:notes.txt"]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"text").hexdigest()}]
    edges = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
    assert sorted(edges["release"]) == sorted(
        ["image:flip/one:1.0.0", "image:reg.example:5000/two:1.0.0", "file:apt/odd.deb", "file:notes.txt"]
    )
    assert len(edges["image:flip/one:1.0.0"]) == 8
    assert edges["image:reg.example:5000/two:1.0.0"] == [bash["purl"]]
    assert edges["file:apt/odd.deb"] == ["pkg:deb/odd@1"]
    assert {name for names in edges.values() for name in names} == by_ref.keys()


def test_spdx_is_valid_and_says_all(airlock: Airlock, tmp_path: Path) -> None:
    made = some_parts(airlock)
    text = sbom.spdx(RELEASE, made)
    path = tmp_path / "sbom.spdx.json"
    path.write_bytes(text)
    faults = validate_full_spdx_document(parse_file(str(path)))
    assert [fault.validation_message for fault in faults] == []
    document = json.loads(text)
    assert document["creationInfo"]["created"] == "2026-09-21T14:13:20Z"
    by_name = {package["name"]: package for package in document["packages"]}
    assert by_name["bash"]["licenseDeclared"] == "NOASSERTION"
    assert by_name["bash"]["sourceInfo"] == "Debian source package src-bash 1:5.2-1"
    assert by_name["b"]["licenseDeclared"] == "MIT OR Apache-2.0"
    assert by_name["f"]["licenseDeclared"] == "ISC AND MIT"
    named = {each["licenseId"]: each["name"] for each in document["hasExtractedLicensingInfos"]}
    assert sorted(named.values()) == [HOSTILE, "BSD", "BSD License"]
    assert named[by_name["c"]["licenseDeclared"]] == HOSTILE
    inside = {(each["spdxElementId"], each["relatedSpdxElement"]) for each in document["relationships"]}
    assert (by_name["reg.example:5000/two"]["SPDXID"], by_name["bash"]["SPDXID"]) in inside
    assert ("SPDXRef-release", by_name["notes.txt"]["SPDXID"]) in inside
    assert len(inside) == 1 + 4 + 8 + 1 + 1


@pytest.mark.parametrize(
    ("counter", "year"), [(1, 2000), (946_684_800, 2000), (1_790_000_000, 2026), (4_102_444_800, 2000), (1 << 53, 2000)]
)
def test_the_time_is_the_counter_where_that_can_be_one(counter: int, year: int) -> None:
    assert sbom.time_of(counter).year == year


@settings(deadline=None)
@given(some.text(min_size=1), some.text(min_size=1), some.text())
def test_any_name_makes_a_package_url_and_valid_bills(name: str, version: str, licence: str) -> None:
    fact = contents._metadata(f"Name: {name}\nVersion: {version}\nLicense: {licence}\n\n".encode(errors="replace"))
    listed = contents._status(f"Package: {name}\nVersion: {version}\n".encode(errors="replace"), several=False)
    part = Part("image", "flip/one:1", "0" * 64, "debian 12", (*fact.packages, *listed.packages), ())
    assert all(letter.isprintable() for package in part.packages for letter in package.name + package.version)
    assert len(json.loads(sbom.cyclonedx(RELEASE, [part]))["components"]) == 1 + len(part.packages)
    assert len(json.loads(sbom.spdx(RELEASE, [part]))["packages"]) == 2 + len(part.packages)


ANEW = """
import hashlib, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:]
import test_airlock_sbom as tests
from airlock import Airlock
import tempfile
with tempfile.TemporaryDirectory() as folder:
    made = tests.some_parts(Airlock(Path(folder)))
    for text in (tests.sbom.cyclonedx(tests.RELEASE, made), tests.sbom.spdx(tests.RELEASE, made)):
        print(hashlib.sha256(text).hexdigest())
"""


def test_the_same_makes_the_same_bytes_in_any_process() -> None:
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    said = {
        subprocess.run(
            [sys.executable, "-c", ANEW, *paths],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(said) == 1

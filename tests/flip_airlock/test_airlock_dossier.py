"""The dossier: what a person approves a bundle by, on one page that shows it and does nothing else."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from airlock import Airlock, noise, signer
from airlock_images import deb, image, layer, metadata, status

from flip_airlock import AirlockError, inspection
from flip_airlock.bundle import faults, open_bundle
from flip_airlock.manifest import Image
from flip_airlock.pack import contents, dossier, packer
from flip_airlock.pack.blobs import PackStore
from flip_airlock.pack.changes import older
from flip_airlock.records import Inventory

NAMES = {"dossier.html", "dossier.json", "sbom.cdx.json", "sbom.spdx.json"}
HOSTILE = '"><script>alert(1)<script><img src=x onerror=alert(1)>'
SYSTEM = {"etc/os-release": b"ID=debian\nVERSION_ID=12\n"}
BASE = layer({**SYSTEM, "var/lib/dpkg/status": status(("bash", "5.2-1"), ("openssl", "3.0.1"), ("curl", "7"))})
SITE = "usr/lib/python3/site-packages"
DOCS = Path(__file__).parents[2] / "docs"


def app(version: str) -> bytes:
    """The upper layer of an image."""
    return layer(
        {
            f"{SITE}/flip-{version}.dist-info/METADATA": metadata("flip", version, "License-Expression: Apache-2.0"),
            f"{SITE}/evil-1.dist-info/METADATA": metadata(HOSTILE, "1", f"License: {HOSTILE}"),
        }
    )


IMAGES: Mapping[str, tuple[bytes, ...]] = {
    "flip/hub:1.0.0": (BASE, app("1")),
    "flip/trust:1.0.0": (BASE, b"this is no archive"),
}
FILES = {"apt/odd.deb": deb("Package: odd\nVersion: 1\n", {}), "notes/a.txt": b"text", "notes/deep/er/b.txt": b"more"}


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[bytes, ...]]:
    """Layers by image, in Docker's stead."""
    there = dict(IMAGES)

    def take(store: PackStore, names: list[str], say: object) -> list[Image]:
        return [image(store, name, there[name], User="" if "hub" in name else "10001") for name in names]

    monkeypatch.setattr(packer, "take_images", take)
    return there


def packed(airlock: Airlock, release: str = "1.0.0", **given: Any) -> tuple[Path, dict[str, Any]]:
    """A bundle, and the dossier in it."""
    given = {"images": tuple(IMAGES), "files": FILES, **given}
    bundle = airlock.pack(release, given.pop("files"), **given)
    return bundle, json.loads((bundle / "dossier.json").read_bytes())


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keeps it."""
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        """Keeps it."""
        self.text += f" {data}"


def page(bundle: Path) -> Page:
    """The page in a bundle."""
    return Page((bundle / "dossier.html").read_text())


@pytest.mark.usefixtures("images")
def test_a_bundle_has_its_dossier_and_is_signed_with_it(airlock: Airlock) -> None:
    bundle, document = packed(airlock)
    opened = open_bundle(bundle, airlock.site.signers)
    assert faults(opened) == {}
    assert {file.name for file in opened.content.extras} == NAMES
    described = inspection.describe(opened.content)
    assert {key: document[key] for key in ("release", "counter", "revision", "for", "segments", "bytes")} == {
        key: described[key] for key in ("release", "counter", "revision", "for", "segments", "bytes")
    }
    by_name = {file.name: vars(file) for file in opened.content.extras}
    assert document["extras"] == [by_name["sbom.cdx.json"], by_name["sbom.spdx.json"]]
    (bundle / "dossier.html").write_text("nothing to see")
    assert list(faults(opened)) == ["dossier.html"]


@pytest.mark.usefixtures("images")
def test_the_document_says_what_there_is(airlock: Airlock) -> None:
    _, document = packed(airlock)
    assert document["format"] == "flip-airlock-dossier/1"
    assert [(each["name"], each["system"], each["user"], each["packages"]) for each in document["images"]] == [
        ("flip/hub:1.0.0", "debian 12", "", 5),
        ("flip/trust:1.0.0", "debian 12", "10001", 3),
    ]
    assert [each["path"] for each in document["files"]] == sorted(FILES)
    assert all(each["travelling"] == each["bytes"] for each in document["files"] if each["path"] != "apt/odd.deb")
    by_name = {each["name"]: each for each in document["packages"]}
    assert by_name["bash"]["in"] == ["flip/hub:1.0.0", "flip/trust:1.0.0"]
    assert by_name["odd"]["in"] == ["apt/odd.deb"]
    assert document["licences"] == [
        {"licence": HOSTILE, "packages": 1},
        {"licence": "Apache-2.0", "packages": 1},
        {"licence": "not known", "packages": 4},
    ]
    (problem,) = document["problems"]
    assert re.match(r"flip/trust:1.0.0: layer [0-9a-f]{64} could not be read to its end", problem)
    assert document["changes"] is None
    assert document["tools"].keys() == {"flip", "libzstd"}


@pytest.mark.usefixtures("images")
def test_the_page_shows_what_packages_call_themselves_and_runs_none_of_it(airlock: Airlock) -> None:
    bundle, document = packed(airlock)
    made = page(bundle)
    assert made.text.count(HOSTILE) == 3, "as a name, as a licence, and with the package again"
    assert {tag for tag, _ in made.tags}.isdisjoint({"script", "img", "link", "iframe", "object", "form", "a", "base"})
    for _, attributes in made.tags:
        assert attributes.keys() <= {"class", "style", "lang", "charset", "http-equiv", "content", "name"}
    policy = [attributes["content"] for _, attributes in made.tags if "http-equiv" in attributes]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert not re.search(r"url\(|@import|https?:", (bundle / "dossier.html").read_text())
    for each in (*document["segments"], *document["extras"], *document["images"], *document["files"]):
        assert each.get("sha256", each.get("id")) in made.text
    for text in ("for any site", "debian 12", "10001", "could not be read to its end", "notes/deep", "NOASSERTION"):
        assert text in made.text
    assert all(note in made.text for note in document["notes"])
    assert "with changes that are in no commit" not in made.text
    uncommitted = dossier.page({**document, "revision": "0" * 40 + "-changed"})
    assert "with changes that are in no commit" in Page(uncommitted).text


@pytest.mark.usefixtures("images")
def test_the_commands_on_the_page_check_the_bundle(airlock: Airlock, tmp_path: Path) -> None:
    """As an approver runs them, and as the guide has them."""
    bundle, document = packed(airlock)
    made, guide = page(bundle), (DOCS / "airlock.md").read_text()
    (tmp_path / "allowed_signers").write_text(signer("release@flip", airlock.key))
    said = ""
    for command in document["check"]:
        assert command in made.text
        assert command.replace("SIGNER", "release@example.org") in guide
        meant = command.replace("SIGNER", "release@flip")
        meant = meant.replace("../allowed_signers", shlex.quote(str(tmp_path / "allowed_signers")))
        said += subprocess.run(meant, shell=True, cwd=bundle, check=True, capture_output=True, text=True).stdout
    assert 'Good "flip-airlock" signature' in said
    assert said.count(": OK\n") == len(list(bundle.iterdir())) - 2


def test_the_same_release_has_the_same_dossier_wherever_it_is_packed(
    airlock: Airlock, images: dict[str, tuple[bytes, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was found kept from before, and on a machine that packs for the first time."""
    first, document = packed(airlock)
    again, _ = packed(airlock, out="again", counter=document["counter"])
    monkeypatch.setattr(airlock, "store", PackStore(airlock.folder / "other store"))
    other, _ = packed(airlock, out="other", counter=document["counter"])
    for name in (*NAMES, "SHA256SUMS.sig"):
        assert (first / name).read_bytes() == (again / name).read_bytes() == (other / name).read_bytes()
    images["flip/hub:1.0.0"] = (BASE, app("2"))
    changed, _ = packed(airlock, out="changed", counter=document["counter"])
    assert all((first / name).read_bytes() != (changed / name).read_bytes() for name in NAMES)


@pytest.mark.usefixtures("images")
def test_a_segment_is_made_again_though_only_it_is_written(airlock: Airlock) -> None:
    files = {**FILES, "large": noise(1_500_000)}
    order = airlock.order("1.0.0", files, images=tuple(IMAGES))
    bundle, again = airlock.folder / "bundle", airlock.folder / "again"
    packer.pack(order, airlock.store, bundle, airlock.key)
    again.mkdir()
    shutil.copy(bundle / "manifest.json", again)
    shutil.rmtree(airlock.store.folder / "inside")
    packer.pack_again(order, airlock.store, again, ["flip-1.0.0.0002.tar"])
    assert sorted(path.name for path in again.iterdir()) == ["flip-1.0.0.0002.tar", "manifest.json"]
    assert (again / "flip-1.0.0.0002.tar").read_bytes() == (bundle / "flip-1.0.0.0002.tar").read_bytes()


def has(airlock: Airlock, *names: str, **more: Any) -> Inventory:
    """What a site has that took in these images, and the files of before."""
    with airlock.store.alone():
        made = {name: image(airlock.store, name, IMAGES[name], **more) for name in names}
    blobs = {digest for each in made.values() for digest in (each.config, *each.layers)}
    return Inventory(
        "Trust_1", "1.0.0", 1, frozenset(blobs), {name: each.layers for name, each in made.items()}, "a" * 64
    )


NEXT = {
    "flip/hub:2.0.0": (
        layer({**SYSTEM, "var/lib/dpkg/status": status(("bash", "5.2-1"), ("openssl", "3.0.2"), ("jq", "1"))}),
        app("2"),
    ),
    "flip/new:2.0.0": (BASE,),
}


def test_what_changes_at_a_site(airlock: Airlock, images: dict[str, tuple[bytes, ...]]) -> None:
    images.update(NEXT)
    have = has(airlock, "flip/hub:1.0.0", "flip/trust:1.0.0", User="10001")
    images["flip/trust:2.0.0"] = IMAGES["flip/trust:1.0.0"]
    bundle, document = packed(airlock, "2.0.0", images=(*NEXT, "flip/trust:2.0.0"), have=have)
    assert document["for"] == "Trust_1"
    changes = document["changes"]
    assert (changes["release"], changes["counter"], changes["not_in_release"]) == ("1.0.0", 1, [])
    assert changes["files"] == {"new": sorted(FILES), "there": 0}
    hub, new, trust = changes["images"]
    assert hub == {
        "name": "flip/hub:2.0.0",
        "was": "flip/hub:1.0.0",
        "status": "changed",
        "new_layers": 2,
        "packages": {
            "added": [{"kind": "deb", "name": "jq", "to": "1"}],
            "changed": [
                {"kind": "deb", "name": "openssl", "was": "3.0.1", "to": "3.0.2"},
                {"kind": "pypi", "name": "flip", "was": "1", "to": "2"},
            ],
            "removed": [{"kind": "deb", "name": "curl", "was": "7"}],
        },
    }
    assert (new["status"], new["was"], new["packages"]) == ("new", None, None)
    assert (trust["status"], trust["new_layers"]) == ("unchanged", 0)
    assert document["blobs"]["patch"] >= 1, "a layer travels as what it differs in from one that this release has not"
    assert open_bundle(bundle, airlock.site.signers).content.release == "2.0.0"
    text = page(bundle).text
    for part in (
        "for Trust_1 alone",
        "openssl changed 3.0.1 3.0.2 flip/hub",
        "1 added, 2 in another version, 1 removed",
    ):
        assert part in text


@pytest.mark.parametrize("counts", ["0.9.0", "0.10.0"])
def test_the_image_of_the_release_that_counts_is_the_one_before(counts: str) -> None:
    """Not the one whose number stands last among texts."""
    layers = {f"flip/hub:{release}": (release,) for release in ("0.9.0", "0.10.0")}
    have = Inventory("Trust_1", counts, 1, frozenset(), layers, "")
    new = Image("flip/hub:0.11.0", "amd64", "0" * 64, ("1" * 64,))
    assert older(new, have) == (f"flip/hub:{counts}", (counts,))


def test_other_settings_of_an_image_are_a_change(airlock: Airlock, images: dict[str, tuple[bytes, ...]]) -> None:
    have = has(airlock, "flip/hub:1.0.0", "flip/trust:1.0.0", User="root")
    images["flip/trust:2.0.0"] = IMAGES["flip/trust:1.0.0"]
    bundle, document = packed(airlock, "2.0.0", images=("flip/trust:2.0.0",), have=have)
    assert [each["status"] for each in document["changes"]["images"]] == ["configuration"]
    assert document["changes"]["not_in_release"] == ["flip/hub:1.0.0"]
    assert "other settings" in page(bundle).text


def test_what_cannot_be_known_is_said(airlock: Airlock, images: dict[str, tuple[bytes, ...]]) -> None:
    """The older layers are not in the packer's store any more."""
    images.update(NEXT)
    have = has(airlock, "flip/hub:1.0.0")
    airlock.store = PackStore(airlock.folder / "another machine's store")
    bundle, document = packed(airlock, "2.0.0", images=tuple(NEXT), have=have)
    assert [each["packages"] for each in document["changes"]["images"]] == [None, None]
    assert "not known: the packer does not have the older layers any more" in page(bundle).text


@pytest.mark.usefixtures("images")
def test_a_dossier_larger_than_a_file_may_be(airlock: Airlock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dossier, "page", lambda _: "x" * 1_000_001)
    with pytest.raises(AirlockError, match=r"dossier.html has 1000001 bytes, more than a file may have here"):
        packed(airlock)


def keys(document: object) -> set[str]:
    """All keys, however deep."""
    if isinstance(document, list):
        return {key for each in document for key in keys(each)}
    if not isinstance(document, dict):
        return set()
    return document.keys() | {key for each in document.values() for key in keys(each)}


def test_every_key_is_documented(airlock: Airlock, images: dict[str, tuple[bytes, ...]]) -> None:
    images.update(NEXT)
    have = has(airlock, "flip/hub:1.0.0")
    _, document = packed(airlock, "2.0.0", images=tuple(NEXT), have=have)
    text = (DOCS / "airlock-format.md").read_text().partition("## dossier.json")[2].partition("\n## ")[0]
    documented = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", text))))
    values = keys(document.pop("blobs")) | keys(document.pop("tools"))  # encodings and names are no keys
    assert values
    assert (keys(document) | {"blobs", "tools"}) - documented == set()


def test_a_bundle_of_nothing_has_a_page_too(airlock: Airlock) -> None:
    bundle, document = packed(airlock, images=(), files={})
    assert document["packages"] == document["images"] == document["files"] == []
    assert "0 images" in page(bundle).text


def test_nothing_on_the_page_turns_or_hides_what_stands_beside_it() -> None:
    assert contents.printable(" a\u202eb\u200bc\x1b[0m\nd ") == "a\\u202eb\\u200bc\\u001b[0m\\u000ad"
    assert len(contents.printable("x" * 5000)) == 200

"""Bills of materials: what is inside every image and file, in the two formats that scanners read.

The same release makes the same bytes: identifiers come from what is described, and the time from the release's counter.
"""

import hashlib
import importlib.metadata
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6

from flip_airlock.pack import licences
from flip_airlock.pack.contents import Package
from flip_airlock.pack.parts import FILE, IMAGE, Part, by_purl, purl, url

NAMESPACE = uuid.UUID("5a4e5f0c-2d1b-5c7e-9a53-0d6a1f4f3c11")
SPDX_NAMESPACE = "https://spdx.org/spdxdocs"  # for documents whose maker has no address of its own
PLAUSIBLE = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
VERSION = importlib.metadata.version("flip-platform")
NOT_KNOWN = "NOASSERTION"
NOT_COVERED = (
    "Listed is what dpkg and Python's installers registered, and what .deb and .whl files say of themselves. Programs "
    "that were copied in, libraries compiled into others, JavaScript, and what is packed into further archives are not."
)


@dataclass(frozen=True)
class Release:
    """What a bill is of."""

    name: str
    counter: int
    revision: str


def time_of(counter: int) -> datetime:
    """A release's time, which its counter is if nobody gave another; else a constant."""
    first, last = PLAUSIBLE
    return datetime.fromtimestamp(counter, UTC) if first.timestamp() <= counter < last.timestamp() else first


def _digest(release: Release, parts: Sequence[Part]) -> str:
    return hashlib.sha256(repr((release, [*parts], VERSION)).encode()).hexdigest()


def cyclonedx(release: Release, parts: Sequence[Part]) -> bytes:
    """CycloneDX 1.6 as JSON: packages once each, and what depends on them, which is what holds them."""
    whole = Component(
        name="flip",
        version=release.name,
        type=ComponentType.APPLICATION,
        bom_ref="release",
        properties=_properties(revision=release.revision, counter=str(release.counter)),
    )
    tool = Component(name="flip-airlock", version=VERSION, type=ComponentType.APPLICATION, bom_ref="tool")
    packages = {name: _component(name, package, holders) for name, (package, holders) in by_purl(parts).items()}
    holders = [_holder(part) for part in parts]
    edges = [
        Dependency(holder.bom_ref, [Dependency(packages[name].bom_ref) for name in _names(part)])
        for holder, part in zip(holders, parts, strict=True)
    ]
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, _digest(release, parts)),
        metadata=BomMetaData(
            component=whole,
            timestamp=time_of(release.counter),
            properties=_properties(**{"not-covered": NOT_COVERED}),
        ),
        components=[*holders, *packages.values()],
        dependencies=[Dependency(whole.bom_ref, [Dependency(holder.bom_ref) for holder in holders]), *edges],
    )
    bom.metadata.tools.components.add(tool)
    return JsonV1Dot6(bom).output_as_string().encode() + b"\n"


def _names(part: Part) -> list[str]:
    return sorted({purl(package, part.system) for package in part.packages})


def _properties(**given: str) -> list[Property]:
    return [Property(name=f"flip:{name}", value=value) for name, value in given.items() if value]


def _holder(part: Part) -> Component:
    if part.kind == FILE:
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=part.digest)]
        return Component(name=part.name, type=ComponentType.FILE, bom_ref=f"{FILE}:{part.name}", hashes=hashes)
    name, _, tag = part.name.rpartition(":")
    properties = _properties(**{"image-id": f"sha256:{part.digest}", "system": part.system})
    return Component(
        name=name, version=tag, type=ComponentType.CONTAINER, bom_ref=f"{IMAGE}:{part.name}", properties=properties
    )


def _component(name: str, package: Package, holders: list[Part]) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=name,
        purl=url(package, holders[0].system),
        licenses=_licences(package.licences),
        properties=[
            *_properties(source=package.source),
            *(Property(name="flip:in", value=each.name) for each in holders),
        ],
    )


def _licences(named: Sequence[str]) -> list[License]:
    """As the format wants them: names and identifiers, or a single expression."""
    factory, declared = LicenseFactory(), LicenseAcknowledgement.DECLARED
    if len(named) == 1:
        return [factory.make_from_string(named[0], license_acknowledgement=declared)]
    if named and all(map(licences.known, named)):
        return [factory.make_with_expression(_joined(named), acknowledgement=declared)]
    return [factory.make_with_name(name, acknowledgement=declared) for name in named]


def _joined(expressions: Sequence[str]) -> str:
    """All of them hold: which one would not is not said."""
    if len(expressions) == 1:
        return expressions[0]
    return " AND ".join(f"({each})" if " " in each else each for each in expressions)


def spdx(release: Release, parts: Sequence[Part]) -> bytes:
    """SPDX 2.3 as JSON: packages once each, and what contains them."""
    namespace = uuid.uuid5(NAMESPACE, f"spdx {_digest(release, parts)}")
    whole = "SPDXRef-release"
    packages = by_purl(parts)
    texts = {name: text for package, _ in packages.values() for name, text in _texts(package.licences)}
    document = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "dataLicense": "CC0-1.0",
        "name": f"flip-{release.name}",
        "documentNamespace": f"{SPDX_NAMESPACE}/flip-{release.name}-{namespace}",
        "creationInfo": {
            "created": time_of(release.counter).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: flip-airlock-{VERSION}"],
        },
        "comment": NOT_COVERED,
        "packages": [
            _spdx(whole, "flip", release.name, "APPLICATION", comment=f"revision {release.revision}"),
            *map(_spdx_holder, parts),
            *(_spdx_package(name, package) for name, (package, _) in packages.items()),
        ],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", whole),
            *(_relation(whole, "CONTAINS", _id(part.kind, part.name)) for part in parts),
            *(
                _relation(_id(part.kind, part.name), "CONTAINS", _id("package", name))
                for part in parts
                for name in _names(part)
            ),
        ],
        "hasExtractedLicensingInfos": [
            {"licenseId": name, "name": text, "extractedText": f"The package names its licence so: {text}"}
            for name, text in sorted(texts.items())
        ],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _id(kind: str, name: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", re.sub(r"^pkg:|\?.*", "", name))[:60]
    return f"SPDXRef-{kind}-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _relation(one: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def _spdx(identifier: str, name: str, version: str, purpose: str, **more: Any) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "name": name,
        **({"versionInfo": version} if version else {}),
        "primaryPackagePurpose": purpose,
        "downloadLocation": NOT_KNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": NOT_KNOWN,
        "licenseDeclared": NOT_KNOWN,
        "copyrightText": NOT_KNOWN,
        **more,
    }


def _spdx_holder(part: Part) -> dict[str, Any]:
    identifier = _id(part.kind, part.name)
    if part.kind == FILE:
        checksums = [{"algorithm": "SHA256", "checksumValue": part.digest}]
        return _spdx(identifier, part.name, "", "FILE", checksums=checksums)
    name, _, tag = part.name.rpartition(":")
    return _spdx(identifier, name, tag, "CONTAINER", comment=f"image id sha256:{part.digest}")


def _spdx_package(name: str, package: Package) -> dict[str, Any]:
    reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": name}
    declared = [each if licences.known(each) else _reference(each) for each in package.licences]
    return _spdx(
        _id("package", name),
        package.name,
        package.version,
        "LIBRARY",
        externalRefs=[reference],
        **({"licenseDeclared": _joined(declared)} if declared else {}),
        **({"sourceInfo": f"Debian source package {package.source}"} if package.source else {}),
    )


def _reference(text: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")[:40]
    return f"LicenseRef-{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _texts(named: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in named:
        if not licences.known(each):
            yield _reference(each), each

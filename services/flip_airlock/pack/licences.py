"""Licences as SPDX calls them, where what a package says of itself leaves no doubt; else as it says."""

import functools
import re
from collections.abc import Sequence

from cyclonedx import spdx

LONGEST = 80  # letters; more is a licence's text, not its name

# Names that leave no doubt, in small letters. "BSD" and "GPL" alone do: there are several.
NAMES = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd-3-clause license": "BSD-3-Clause",
    "cc0": "CC0-1.0",
    "expat": "MIT",
    "gnu affero general public license v3": "AGPL-3.0-only",
    "gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0-or-later",
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psf": "PSF-2.0",
    "psf-2": "PSF-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}
OPERATORS = ("AND", "OR", "WITH")
GNU = re.compile(r"(A?GPL|LGPL|GFDL)-(\d)(\.\d)?(\+)?", re.IGNORECASE)


@functools.cache
def known(text: str) -> str | None:
    """The SPDX expression that a name or expression means; None where that is in doubt."""
    text = text.strip()
    if text.lower() in NAMES:
        return NAMES[text.lower()]
    if found := GNU.fullmatch(text):
        family, major, minor, later = found.groups()
        text = f"{family.upper()}-{major}{minor or '.0'}-{'or-later' if later else 'only'}"
    if single := spdx.fixup_id(text):
        return str(single)
    text = re.sub(r"\s+(and|or|with)\s+", lambda found: f" {found[1].upper()} ", text, flags=re.IGNORECASE)
    words = re.findall(r"[^\s()]+", text)
    after = ["", *words]
    names = [word for word, before in zip(words, after, strict=False) if before != "WITH" and word not in OPERATORS]
    # The library takes other spellings, too, such as GPL for any version of it.
    sure = all(spdx.is_supported_id(name.removesuffix("+")) for name in names)
    return text if names and sure and spdx.is_expression(text) else None


def _named(text: str) -> str:
    return known(text) or " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]


def of_metadata(expression: str | None, named: str | None, classifiers: Sequence[str] | None) -> list[str]:
    """Licences of a Python distribution: its expression, else its licence field, else its classifiers."""
    if expression:
        return [_named(expression)]
    first, _, rest = (named or "").strip().partition("\n")
    if first.upper() in ("UNKNOWN", "NONE", "LICENSE", "DUAL LICENSE") or (
        (rest or len(first) > LONGEST) and not known(first)
    ):
        first = ""  # no name, but the licence's text or nothing
    listed = [each.rpartition(" :: ")[2] for each in classifiers or () if each.startswith("License :: ")]
    listed = [each for each in listed if each != "OSI Approved"]
    if not (first and known(first)) and listed and (all(map(known, listed)) or not first):
        return sorted({_named(each) for each in listed})
    return [_named(first)] if first else []


def of_copyright(text: str) -> list[str]:
    """Licences of a Debian package whose copyright file is written for machines; nothing of any other.

    https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
    """
    if not re.match(r"\s*Format(-Specification)?:", text):
        return []
    found = re.findall(r"^License:[ \t]*(\S.*?)[ \t\r]*$", text, re.MULTILINE)
    return sorted({_debian(each) for each in found if len(each) <= LONGEST})


def _debian(text: str) -> str:
    """Debian joins with `and` and `or`, as SPDX does; a comma before them changes what they bind, and stays."""
    parts = re.split(r"\s+(and|or)\s+", text)
    names = [known(part) for part in parts[::2]]
    if not all(names):
        return _named(text)
    joined = [str(names[0])]
    for word, name in zip(parts[1::2], names[1:], strict=True):
        joined += [word.upper(), str(name)]
    return " ".join(joined)

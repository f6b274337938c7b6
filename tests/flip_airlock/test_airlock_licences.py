"""Licences: known where there is no doubt, and never guessed."""

import pytest

from flip_airlock.pack import licences


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("MIT", "MIT"),
        ("mit license", "MIT"),
        ("Expat", "MIT"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("Apache-2.0 or MIT", "Apache-2.0 OR MIT"),
        ("Apache-2.0 WITH LLVM-exception", "Apache-2.0 WITH LLVM-exception"),
        ("GPL", None),
        ("BSD", None),
        ("BSD-3-Clause OR GPL", None),
        ("MIT with foo", None),
        ("LicenseRef-own", None),
        ("(MIT", None),
        ("", None),
        ("<script>alert(1)<script>", None),
    ],
)
def test_licences_that_are_known_and_not_guessed(text: str, means: str | None) -> None:
    assert licences.known(text) == means


@pytest.mark.parametrize(
    ("expression", "named", "classifiers", "means"),
    [
        ("MIT OR Apache-2.0", "BSD", ["License :: OSI Approved :: ISC License (ISCL)"], ["MIT OR Apache-2.0"]),
        (None, "BSD", ["License :: OSI Approved :: ISC License (ISCL)"], ["ISC"]),
        (None, "BSD", ["License :: OSI Approved :: BSD License"], ["BSD"]),
        (None, "Copyright 2001\nThe whole text", ["License :: OSI Approved :: BSD License"], ["BSD License"]),
        (None, "MIT\n\nThe whole text", [], ["MIT"]),
        (None, "UNKNOWN", ["License :: OSI Approved", "Topic :: Any"], []),
        (None, None, None, []),
    ],
)
def test_licences_of_python_distributions(
    expression: str | None, named: str | None, classifiers: list[str] | None, means: list[str]
) -> None:
    assert licences.of_metadata(expression, named, classifiers) == means


def test_licences_of_debian_copyright_files() -> None:
    text = "License: Expat\n\nLicense: ISC, and Expat or Zlib\n text\n\nLicense: GPL-1+ or Artistic\n\nLicense:\n"
    assert licences.of_copyright(text) == []
    wanted = ["GPL-1.0-or-later OR Artistic-1.0-Perl", "ISC, and Expat or Zlib", "MIT"]
    assert licences.of_copyright(f"Format: https://any\n\n{text}") == wanted

"""Links resolve, words are the agreed ones, and pages stay short."""

import re
from typing import Any

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
NOT_OUR_WORDS = re.compile(r"\b(nodes?|workers?|agents?|slaves?|masters?)\b", re.IGNORECASE)
MAX_LINES = 230


def _anchors(text: str) -> set[str]:
    """Anchors as GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_relative_links_resolve(every_page: Any) -> None:
    for target in LINK.findall(every_page.text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (every_page.path.parent / path).resolve() if path else every_page.path
        assert file.exists(), f"{every_page.path.name}: {target} leads nowhere"
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{every_page.path.name}: no heading {target}"


def test_every_page_is_linked_from_the_readme(every_page: Any, root: Any) -> None:
    linked = {target.partition("#")[0] for target in LINK.findall((root / "README.md").read_text(encoding="utf-8"))}
    assert every_page.path.name == "README.md" or f"docs/{every_page.path.name}" in linked


def test_only_the_agreed_words_are_used(every_page: Any) -> None:
    assert not NOT_OUR_WORDS.findall(every_page.prose)


def test_a_page_opens_with_what_it_enables(every_page: Any) -> None:
    if every_page.path.name != "README.md":
        opening = every_page.text.split("\n\n")[1]
        assert opening.startswith("After this page"), opening


def test_pages_stay_short(every_page: Any) -> None:
    # Rows of tables are looked up, not read.
    assert len([line for line in every_page.text.splitlines() if not line.startswith("|")]) <= MAX_LINES


def test_python_examples_are_python(every_page: Any) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", every_page.text, re.MULTILINE | re.DOTALL):
        compile(block, every_page.path.name, "exec")


def test_benchmarks_and_the_page_of_figures_agree(root: Any) -> None:
    page = (root / "docs" / "figures.md").read_text(encoding="utf-8")
    assert set(re.findall(r"python benchmarks/(\w+\.py)", page)) == {
        path.name for path in (root / "benchmarks").glob("*.py")
    }


def test_paths_in_code_spans_exist(every_page: Any, root: Any) -> None:
    """`services/...`, `tests/...`, `flip_trust/...` in a page's text are files or folders of the repository."""
    for path in re.findall(r"`((?:services|tests|docs|tutorials|benchmarks)/[\w./-]+)`", every_page.text):
        assert (root / path).exists(), f"{every_page.path.name}: {path}"
    for path in re.findall(r"`(flip_(?:hub|trust|fl|common)/[\w./-]+)`", every_page.text):
        assert (root / "services" / path).exists(), f"{every_page.path.name}: {path}"

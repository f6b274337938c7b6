"""The documentation as the tests read it: sections, tables, code blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text(encoding="utf-8")

    def section(self, heading: str) -> str:
        """What stands under a `## ` or `### ` heading, down to the next heading of its level or above."""
        level = heading.split(" ", 1)[0]
        higher = "|".join("#" * n for n in range(1, len(level) + 1))
        found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^(?:{higher}) |\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert found, f"{self.path.name} has no heading {heading!r}"
        return found[1]

    def rows(self, heading: str) -> list[list[str]]:
        """The cells of every table row of a section whose first cell is code."""
        lines = [line for line in self.section(heading).splitlines() if line.startswith("| `")]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]

    @property
    def code(self) -> str:
        """Every fenced or indented code block."""
        fenced = re.findall(r"^```\w*\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        indented = [line for line in re.sub(r"(?s)^```.*?^```", "", self.text).splitlines() if line.startswith("    ")]
        return "\n".join([*fenced, *indented])

    @property
    def prose(self) -> str:
        """The text without code blocks and code spans."""
        text = re.sub(r"^```.*?^```", "", self.text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
        return re.sub(r"`[^`\n]*`", "", text)


@pytest.fixture
def page() -> type[Page]:
    """`page(path)`."""
    return Page


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def every_page(request: pytest.FixtureRequest) -> Page:
    """README.md and each page of docs/."""
    return Page(request.param)


@pytest.fixture
def settings_page() -> Page:
    """docs/settings.md."""
    return Page(ROOT / "docs" / "settings.md")


@pytest.fixture
def api_page() -> Page:
    """docs/api.md."""
    return Page(ROOT / "docs" / "api.md")


class CommandLine(Page):
    """docs/cli.md, and the pages that go on where it would be too long."""

    @property
    def text(self) -> str:
        """All of them, one after the other."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.path.parent.glob("cli*.md")))


@pytest.fixture
def cli_page() -> Page:
    """docs/cli.md and its further pages."""
    return CommandLine(ROOT / "docs" / "cli.md")


@pytest.fixture
def services_page() -> Page:
    """docs/services.md."""
    return Page(ROOT / "docs" / "services.md")


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT

"""docs/cli*.md name every verb, docs/services.md every entry point, with all options; commands in pages exist."""

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main
from typer.testing import CliRunner

from flipctl.cli import app

NOT_BY_HAND = {f"flip_fl.flower.{name}" for name in ("superlink", "supernode", "superexec", "nursery")}


def _verbs(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _verbs(inner, (*path, name))
    else:
        yield path, command


VERBS = {" ".join(path): command for path, command in _verbs(typer.main.get_command(app))}


def _options(command: click.Command) -> set[str]:
    return {name for option in command.params if isinstance(option, click.Option) for name in option.opts}


def test_every_verb_stands_and_no_other(cli_page: Any) -> None:
    documented = re.findall(r"^### `flipctl ([a-z -]+)`$", cli_page.text, re.MULTILINE)
    assert sorted(documented) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_stands(cli_page: Any, verb: str) -> None:
    section = cli_page.section(f"### `flipctl {verb}`")
    named = set(re.findall(r"--[a-z][a-z-]*", re.sub(r"make .*", "", section)))
    assert _options(VERBS[verb]) - {"--help"} <= named
    assert f"    flipctl {verb}" in section, "the section has no example"


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(verb: str) -> None:
    done = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert done.exit_code == 0, done.output
    assert "Example:" in done.output
    assert f"flipctl {verb}" in " ".join(done.output.split())


def _entry_points(root: Path) -> set[str]:
    services = root / "services"
    files = [path for path in services.rglob("*.py") if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")]
    names = {".".join(path.relative_to(services).with_suffix("").parts) for path in files}
    return {name.removesuffix(".__main__") for name in names}


def test_every_entry_point_stands_and_no_other(services_page: Any, root: Path) -> None:
    by_hand = set(re.findall(r"^## `python -m ([a-z_.]+)`$", services_page.text, re.MULTILINE))
    internal = set(re.findall(r"`python -m ([a-z_.]+)`", services_page.section("## Started by the above, not by hand")))
    # The bootstrap runs as a file, before anything can be imported.
    assert "flipctl/bootstrap.py" in services_page.text
    assert by_hand | internal == _entry_points(root) - {"flipctl.bootstrap"}
    assert internal == NOT_BY_HAND


SERVICES = (
    "flip_hub serve",
    "flip_hub create-admin",
    "flip_hub fetch-config",
    "flip_hub openapi",
    "flip_fl",
    "flip_trust.api",
    "flip_trust.data_access",
    "flip_trust.data_access prepare-database",
    "flip_trust.imaging",
    "flip_fl.flower.site",
    "flip_fl.site_key",
    "flip_fl.egress",
    "flipctl.pacs",
)


def _help(monkeypatch: pytest.MonkeyPatch, command: str) -> str:
    module, *verb = command.split()
    monkeypatch.setattr(sys, "argv", [module, *verb, "--help"])
    # A page as wide as its lines: wrapped words could not be found again.
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setenv("TERMINAL_WIDTH", "240")
    # Run anew, as the interpreter would; runpy warns of a module that another test imported before.
    for name in (f"{module}.__main__", module):
        if name in sys.modules and not hasattr(sys.modules[name], "__path__"):
            monkeypatch.delitem(sys.modules, name)
    shown = StringIO()
    with redirect_stdout(shown), pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code in (0, None)
    return shown.getvalue()


@pytest.mark.parametrize("command", SERVICES)
def test_help_of_a_service_shows_an_example(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _help(monkeypatch, command)
    assert "Example:" in shown
    assert f"python -m {command.split(maxsplit=1)[0]}" in shown


@pytest.mark.parametrize("command", SERVICES)
def test_options_of_a_service_stand(command: str, monkeypatch: pytest.MonkeyPatch, services_page: Any) -> None:
    section = services_page.section(f"## `python -m {command.split(maxsplit=1)[0]}`")
    named = set(re.findall(r"--[a-z][a-z-]*", section))
    wanted = {name for name in re.findall(r"--[a-z][a-z-]+", _help(monkeypatch, command)) if "--no-" not in name}
    assert wanted - {"--help", "--install-completion", "--show-completion"} <= named | {"--env-file"}


def test_commands_in_pages_exist(every_page: Any) -> None:
    """`flipctl ...` in a page's code is a verb of it, with options the verb has."""
    joined = every_page.code.replace("\\\n", " ")
    for line in re.findall(r"^\s*(?:\.venv/bin/)?(flipctl .*)$", joined, re.MULTILINE):
        words = shlex.split(line.split(" > ")[0].split(" < ")[0], comments=True)[1:]
        verb = next((verb for verb in VERBS if words[: len(verb.split())] == verb.split()), None)
        assert verb, f"{every_page.path.name}: {line}"
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= _options(VERBS[verb]), f"{every_page.path.name}: {line}"

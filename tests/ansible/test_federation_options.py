"""What `make federation` is asked for, and what it says to what it cannot do; nothing is started here."""

from typing import Any

import pytest
import typer
from federation import __main__ as command
from federation.evidence import Evidence
from federation.plan import PREMISES, TRE, TRUSTS
from typer.testing import CliRunner

from flipctl.demo.checks import Check


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the federations were asked for that would have been made."""
    found: list[Any] = []

    def federate(wishes: Any, *_: Any) -> Evidence:
        found.append(wishes)
        return Evidence({}, wishes.suites, checks=[Check("it", True, "")])

    monkeypatch.setattr(command, "federate", federate)
    return found


def ask(*options: str) -> Any:
    app = typer.Typer()
    app.command()(command.main)
    return CliRunner().invoke(app, options)


@pytest.mark.parametrize(
    ("options", "trusts"), [((), TRUSTS), (("--only", "tre"), (TRE,)), (("--only", "premises"), (PREMISES,))]
)
def test_who_takes_part(asked: list[Any], options: tuple[str, ...], trusts: tuple[Any, ...]) -> None:
    done = ask(*options)
    assert done.exit_code == 0, done.output
    assert asked[0].trusts == trusts
    assert [site.name for site in asked[0].sites] == ["hub", *(trust.name for trust in trusts)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--only", "hub"), "--only: hub is none of premises, tre"),
        (("--only", "premises", "--day-two"), "--day-two is done at tre, which --only premises leaves out"),
        (("--only", "premises", "--interrupt", "2"), "--interrupt is done at tre, which --only premises leaves out"),
        (("--only", "tre", "--cut-network", "9"), "--cut-network is done at premises, which --only tre leaves out"),
        (("--suites", "noble,trixie"), "--suites: one suite for all hosts, or 3: for hub, premises, tre"),
        (("--suites", "buster"), "--suites: buster is none of bookworm, trixie, jammy, noble"),
    ],
)
def test_what_cannot_be_is_told_first(asked: list[Any], options: tuple[str, ...], told: str) -> None:
    done = ask(*options)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
    assert not asked

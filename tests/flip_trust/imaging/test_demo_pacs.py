"""The demo's PACS, and the two command lines."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from pydicom import Dataset, dcmread
from pynetdicom import AE
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from typer.testing import CliRunner

import flip_trust.imaging.__main__ as imaging_main
import flipctl.pacs as pacs_main
from flip_trust.imaging.stores import Peer
from flipctl.pacs import parse_peer

ME = Peer("ME", "127.0.0.1", 1)


@pytest.fixture
def associate() -> Any:
    opened = []

    def run(port: int, ae_title: str = "ME") -> Any:
        application = AE(ae_title=ae_title)
        for context in (
            Verification,
            MRImageStorage,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            application.add_requested_context(context)
        opened.append(application.associate("127.0.0.1", port, ae_title="PACS"))
        return opened[-1]

    yield run
    for association in opened:
        if association.is_established:
            association.release()


def find(association: Any, **keys: Any) -> list[Dataset]:
    query = Dataset()
    for name, value in keys.items():
        setattr(query, name, value)
    answers = association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
    return [answer for status, answer in answers if status.Status == 0xFF00]


def test_echo_find_and_store(pacs_of: Any, make: Any, tmp_path: Path, associate: Any) -> None:
    phantom = make.series(tmp_path / "made", "A1", slices=3)
    association = associate(pacs_of(tmp_path / "pacs", ME).port)
    assert association.send_c_echo().Status == 0
    assert find(association, QueryRetrieveLevel="STUDY", AccessionNumber="A1") == []
    for path in phantom.files:
        assert association.send_c_store(dcmread(path)).Status == 0
    [study] = find(association, QueryRetrieveLevel="STUDY", AccessionNumber="A1")
    assert (study.StudyInstanceUID, study.NumberOfStudyRelatedInstances) == (phantom.study_uid, 3)
    [series] = find(association, QueryRetrieveLevel="SERIES", StudyInstanceUID=phantom.study_uid)
    assert (series.SeriesInstanceUID, series.NumberOfSeriesRelatedInstances) == (phantom.series_uid, 3)
    assert find(association, QueryRetrieveLevel="PATIENT", PatientID="P1") == []
    assert find(association, QueryRetrieveLevel="STUDY", AccessionNumber="A2") == []


def test_strangers_are_refused(pacs_of: Any, tmp_path: Path, associate: Any) -> None:
    assert associate(pacs_of(tmp_path / "pacs", ME).port, "OTHER").is_rejected


def test_a_move_to_an_unknown_title_is_refused(pacs_of: Any, tmp_path: Path, associate: Any) -> None:
    association = associate(pacs_of(tmp_path / "pacs", ME).port)
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", "1.2"
    answers = list(association.send_c_move(query, "WHO", StudyRootQueryRetrieveInformationModelMove))
    assert [status.Status for status, _ in answers] == [0xA801]


@pytest.mark.parametrize("bad", ["", "AET", "AET=host", "AET=host:port", "=host:1"])
def test_a_malformed_peer_is_refused(bad: str) -> None:
    with pytest.raises(typer.BadParameter, match="AET=HOST:PORT"):
        parse_peer(bad)
    assert parse_peer("A=h:1") == Peer("A", "h", 1)


def test_it_runs_as_a_process_and_ends_on_sigterm(tmp_path: Path, associate: Any) -> None:
    command = [sys.executable, "-m", "flipctl.pacs", "--aet", "PACS", "--folder", str(tmp_path)]
    command += ["--peer", "ME=127.0.0.1:1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"listens on 127.0.0.1:(\d+)", line)
        assert found, line
        association = associate(int(found[1]))
        assert association.send_c_echo().Status == 0
        association.release()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def cli(main: Any) -> typer.Typer:
    app = typer.Typer()
    app.command()(main)
    return app


@pytest.mark.parametrize("main", [imaging_main.main, pacs_main.main])
def test_help_shows_an_example(main: Any) -> None:
    assert "Example: python -m" in CliRunner().invoke(cli(main), ["--help"]).output


def test_imaging_api_refuses_bad_settings_by_name(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("IMAGING_STORE=folder\n")
    result = CliRunner().invoke(cli(imaging_main.main), ["--env-file", str(tmp_path / "env")])
    assert result.exit_code == 2
    assert "IMAGING_DATA_DIR: not set" in result.output


def test_imaging_api_is_served_with_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr(imaging_main.uvicorn, "run", lambda app, **options: served.update(options, app=app))
    monkeypatch.setattr(imaging_main, "configure_logging", lambda *_: None)
    lines = {
        "IMAGING_STORE": "folder",
        "IMAGING_FOLDER": tmp_path,
        "IMAGING_DATA_DIR": tmp_path / "data",
        "TRUST_INTERNAL_SERVICE_KEY": "0123456789abcdef",
    }
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    arguments = ["--port", "1234", "--env-file", str(tmp_path / "env")]
    result = CliRunner().invoke(cli(imaging_main.main), arguments)
    assert result.exit_code == 0, result.output
    assert (served["host"], served["port"]) == ("127.0.0.1", 1234)
    assert served["app"].title == "FLIP imaging-api"

"""The ledger of a site's egress point: complete lines, nothing lost, nothing overwritten."""

import errno
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flip_fl.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_when_in_utc_and_what(path: Path) -> None:
    ledger = Ledger(path, 10_000)
    ledger.write("opened", {"client": "172.18.0.2"})
    ledger.close()
    (line,) = lines(path)
    assert line.pop("at")[-1] == "Z"
    assert line == {"event": "opened", "client": "172.18.0.2"}
    at = datetime.fromisoformat(lines(path)[0]["at"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_start_adds_to_what_is_there(path: Path) -> None:
    for number in range(2):
        ledger = Ledger(path, 10_000)
        ledger.write("started", {"number": number})
        ledger.close()
    assert [line["number"] for line in lines(path)] == [0, 1]


def test_a_line_cut_short_spoils_no_other(path: Path) -> None:
    path.write_text('{"at": "2026-11-')
    ledger = Ledger(path, 10_000)
    ledger.write("started")
    ledger.close()
    cut, whole = path.read_text().splitlines()
    assert cut == '{"at": "2026-11-'
    assert json.loads(whole)["event"] == "started"


def test_a_full_file_is_put_aside_and_none_is_overwritten(path: Path) -> None:
    ledger = Ledger(path, 200)
    for number in range(20):
        ledger.write("continues", {"number": number})
    ledger.close()
    files = sorted(path.parent.iterdir())
    assert files[-1] == path
    assert len(files) > 5
    assert all(file.stat().st_size <= 200 for file in files)
    assert all(file.name.startswith("ledger-20") and file.suffix == ".jsonl" for file in files[:-1])
    assert [line["number"] for file in files for line in lines(file)] == list(range(20))


def test_a_durable_line_is_synchronised_and_others_are_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    ledger = Ledger(path, 10_000)
    ledger.write("opened")
    assert not synced
    ledger.write("closed", durable=True)
    assert len(synced) == 1
    ledger.close()


def test_a_disk_that_takes_half_a_line_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, 10_000)
    ledger.write("opened")
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="the disk took"):
        ledger.write("closed")
    monkeypatch.undo()
    ledger.write("closed")
    ledger.close()
    assert [line["event"] for line in lines(path)] == ["opened", "closed"]


def test_a_change_of_files_that_fails_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(path, 100)
    ledger.write("opened", {"first": 1})
    opened = os.open

    def full(name: Path, *arguments: Any) -> int:
        if name == path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(name, *arguments)

    monkeypatch.setattr(os, "open", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            ledger.write("closed", {"second": "x" * 80})
    monkeypatch.undo()
    ledger.write("closed", {"third": "x" * 80})
    ledger.close()
    files = sorted(path.parent.iterdir())
    assert [line["event"] for file in files for line in lines(file)] == ["opened", "closed"]

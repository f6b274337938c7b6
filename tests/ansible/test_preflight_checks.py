"""Each check of the preflight says how it is, what is needed and the remedy."""

import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_tree import python
from http_proxy import http_proxy
from https_server import https_server
from tls_issuer import issuer

checks = python("flip_preflight", "module_utils/flip_checks.py")
variables = python("flip_preflight", "filter_plugins/flip_variables.py")
GIB = 1024**3


class Usage(NamedTuple):
    """As much of `shutil.disk_usage` as is looked at."""

    free: int


@pytest.mark.parametrize(
    ("release", "ok"),
    [
        ('ID=debian\nVERSION_ID="12"', True),
        ('ID=ubuntu\nVERSION_ID="24.04"', True),
        ('ID="rhel"\nVERSION_ID="9"', False),
    ],
)
def test_operating_system(tmp_path: Path, release: str, *, ok: bool) -> None:
    (tmp_path / "os-release").write_text(f"# comment\n\n{release}\n")
    row = checks.operating_system({"debian": ["12", "13"], "ubuntu": ["24.04"]}, tmp_path / "os-release")
    assert row["ok"] is ok
    assert bool(row["remedy"]) is not ok


@pytest.mark.parametrize(
    ("there", "brought", "version_id", "ok"),
    [
        ("v2.26.1", False, "12", True),
        ("1.29.2", False, "12", False),  # a wrapper of Compose 1
        ("", False, "12", False),
        ("", True, "12", True),
        ("", False, "13", True),
    ],
)
def test_compose_is_there_or_to_be_had(tmp_path: Path, there: str, version_id: str, *, brought: bool, ok: bool) -> None:
    (tmp_path / "os-release").write_text(f'ID=debian\nVERSION_ID="{version_id}"\n')
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n[ -n '{there}' ] || exit 1\necho '{there}'\n")
    program.chmod(0o700)
    row = checks.compose(brought, tmp_path / "os-release", str(program))
    assert row["ok"] is ok
    assert ("flip_docker_deb_files" in row["remedy"]) is not ok
    assert checks.compose(brought, tmp_path / "os-release", "no-such-docker")["ok"] is (brought or version_id == "13")


def test_what_shall_lie_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "cdm.sql").touch()
    rows = checks.files([str(tmp_path / "cdm.sql"), str(tmp_path / "nothing")])
    assert [row["ok"] for row in rows] == [True, False]
    assert "correct its name" in rows[1]["remedy"]


def test_folders_on_one_file_system_share_its_space(tmp_path: Path) -> None:
    needs = {str(tmp_path / "opt" / "flip"): 60, str(tmp_path / "docker"): 50}
    (row,) = checks.disk(needs, lambda path: Usage(100 * GIB))
    assert (row["ok"], row["needed"]) == (False, "110 GiB")
    assert "free 10 GiB more" in row["remedy"]
    assert checks.disk(needs, lambda path: Usage(110 * GIB))[0]["ok"]


@pytest.mark.parametrize(("kib", "ok"), [(16 * 1024**2, True), (15.5 * 1024**2, True), (15 * 1024**2, False)])
def test_memory_forgives_what_the_firmware_takes(tmp_path: Path, kib: float, *, ok: bool) -> None:
    (tmp_path / "meminfo").write_text(f"MemFree: 1 kB\nMemTotal:       {kib:.0f} kB\n")
    assert checks.memory(16, tmp_path / "meminfo")["ok"] is ok


@pytest.mark.parametrize(
    ("output", "ok", "found"),
    [
        ("H100, 550.163.01", True, "H100 (driver 550.163.01)"),
        ("H100, 550.163.01\nT4, 470.1", False, "H100 (driver 550.163.01), T4 (driver 470.1)"),
        ("", False, "none"),
    ],
)
def test_gpu_and_driver(tmp_path: Path, output: str, *, ok: bool, found: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{output}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    row = checks.gpu("535", str(program))
    assert (row["ok"], row["found"]) == (ok, found)


def test_no_driver_at_all(tmp_path: Path) -> None:
    row = checks.gpu("535", str(tmp_path / "nvidia-smi"))
    assert not row["ok"]
    assert "install NVIDIA's driver 535" in row["remedy"]


def test_a_port_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (row,) = checks.ports([port])
        assert (row["ok"], row["found"]) == (False, "taken")
        assert f":{port}" in row["remedy"]
    assert checks.ports([port])[0]["ok"]


def engine(folder: Path, shown: str) -> str:
    """A `docker` that knows of one container with the port asked for."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n[ \"$1 $2\" = 'ps --filter' ] && echo '{shown}'\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("container", "ok"),
    [("flip-orthanc-orthanc-1", True), ("flip-xnat_web.1.x9", True), ("theirs", False), ("", False)],
)
def test_a_port_that_flip_holds_is_its_own(tmp_path: Path, container: str, *, ok: bool) -> None:
    """A run that was broken off has left services up; the next one must not be refused for them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (row,) = checks.ports([server.getsockname()[1]], engine(tmp_path, container))
    assert row["ok"] is ok


@pytest.mark.parametrize(("begun", "needed"), [(False, "20 GiB"), (True, "2 GiB")])
def test_a_host_that_was_begun_needs_a_tenth_of_the_disk(
    tmp_path: Path, begun: bool, needed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an interrupted run brought fills the disk that was asked for, and must not be asked for twice."""
    monkeypatch.setattr(checks, "BEGUN", str(tmp_path / "config"))
    if begun:
        (tmp_path / "config").mkdir()
    records = str(tmp_path / "cdm.sql")
    want = {"disk_gib": {str(tmp_path): 20}, "systems": {}, "memory_gib": 1, "gpu": False, "ports": [], "trust": False}
    rows = checks.every(want | {"compose_file": True, "files": [records]})
    (row,) = [row for row in rows if row["check"].startswith("disk")]
    assert row["needed"] == needed
    assert (records in {row["check"] for row in rows}) is not begun, "they are loaded once"


def test_dns() -> None:
    assert checks.dns("localhost")["ok"]
    assert not checks.dns("no-such-host.invalid")["ok"]


def test_endpoints_that_nobody_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert checks.fl_server(f"127.0.0.1:{port}")["ok"]
    for row in (checks.fl_server(f"127.0.0.1:{port}"), checks.hub_api(f"https://127.0.0.1:{port}/api", "")):
        assert not row["ok"]
        assert f"outbound TCP connections to 127.0.0.1:{port}" in row["remedy"]
    assert not checks.clock(f"https://127.0.0.1:{port}/api", 30)["ok"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """URL, `host:port` and CA of something that answers HTTPS as a hub does."""
    with https_server(tmp_path / "hub") as (address, ca):
        yield f"https://{address}/api", address, ca


def test_an_authority_that_python_3_13_would_not_take(
    hub: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def strict(**options: str) -> ssl.SSLContext:
        context = default(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    url, _, ca = hub
    default = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", strict)
    assert checks.hub_api(url, ca.read_text(encoding="ascii"))["ok"]


def test_endpoints_behind_a_proxy(hub: tuple[str, str, Path], tmp_path: Path) -> None:
    url, address, ca = hub
    with http_proxy(tmp_path / "proxy", sign_in="site:p@ss") as proxy:
        rows = [
            checks.hub_api(url, ca.read_text(), proxy.url),
            checks.clock(url, 30, proxy.url),
            checks.fl_server(address, proxy.url),
        ]
        assert all(row["ok"] for row in rows), rows
        assert proxy.passed(f"CONNECT {address}")
        for given in (proxy.url.replace("p%40ss", "secret"), proxy.url.replace("site:p%40ss@", "")):
            for row in (checks.hub_api(url, ca.read_text(), given), checks.fl_server(address, given)):
                assert not row["ok"]
                assert "407" in row["found"]
                assert f"pass CONNECT to {address} on" in row["remedy"]
                assert "secret" not in str(row)


def test_a_proxy_that_looks_into_tls(hub: tuple[str, str, Path], tmp_path: Path) -> None:
    url, _, ca = hub
    proxys = issuer(tmp_path / "authority")("proxy").ca
    with http_proxy(tmp_path / "proxy", looks_into_tls=proxys, trusts=ca) as proxy:
        assert checks.hub_api(url, proxys.read_text(), proxy.url)["ok"]
        row = checks.hub_api(url, ca.read_text(), proxy.url)
    assert not row["ok"]
    assert "or of a proxy that looks into TLS, in flip_preflight_hub_ca_file" in row["remedy"]


def test_the_table_is_aligned_and_failures_come_with_their_remedy() -> None:
    rows = [checks.row("memory", True, "64 GiB", "16 GiB", "-"), checks.kit("Trust_1.flipkit", {})]
    assert checks.table(rows) == [
        "         check   found                          needed",
        "ok       memory  64 GiB                         16 GiB",
        "MISSING  kit     Trust_1.flipkit: no such file  this trust's, valid",
    ]
    long = checks.row("kit", False, "x" * 200, "valid", "-")
    assert checks.table([long])[1] == f"MISSING  kit    {'x' * 57}...  valid"
    (line,) = variables.flip_missing(rows)
    assert line.startswith("kit: Trust_1.flipkit: no such file; needed: this trust's, valid. Remedy: have a hub's")

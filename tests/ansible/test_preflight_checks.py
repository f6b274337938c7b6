"""Each check of the preflight says how it is, what is needed and the remedy."""

import socket
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
    rows = [checks.row("memory", True, "64 GiB", "16 GiB", "-"), checks.kit("Trust_1.flipkit", False)]
    assert checks.table(rows) == [
        "         check   found            needed",
        "ok       memory  64 GiB           16 GiB",
        "MISSING  kit     Trust_1.flipkit  a .flipkit file beside the playbook",
    ]
    (line,) = variables.flip_missing(rows)
    assert line.startswith("kit: Trust_1.flipkit; needed: a .flipkit file beside the playbook. Remedy: have a hub's")

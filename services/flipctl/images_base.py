"""A base image made from a Debian mirror, where no registry can be reached."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from flipctl import images_docker as docker
from flipctl.images_list import ImagesError

MIRROR = "http://deb.debian.org"
SUITE = "bookworm"
# What the registry's slim image leaves out too, here and in what is installed later.
LEAVE_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
APT = (
    'Apt::Install-Recommends "false"',
    'Acquire::Languages "none"',
    'Dir::Cache::pkgcache ""',
    'Dir::Cache::srcpkgcache ""',
)


def make_base(mirror: str, tag: str) -> None:
    """Makes a minimal Debian 12 (essential packages and apt) and imports it into Docker.

    Raises:
        ImagesError: mmdebstrap is missing or failed, or this is not root.
    """
    if shutil.which("mmdebstrap") is None:
        raise ImagesError("mmdebstrap is missing; apt-get install mmdebstrap")
    if os.geteuid() != 0:
        raise ImagesError("making a base image needs root; run it with sudo")
    suites = ((f"{mirror}/debian", SUITE), (f"{mirror}/debian", f"{SUITE}-updates"))
    sources = [
        f"deb {url} {suite} main" for url, suite in (*suites, (f"{mirror}/debian-security", f"{SUITE}-security"))
    ]
    options = ["--mode=root", "--variant=apt", "--format=tar", "--quiet"]
    # Else it brings a program that merges /bin into /usr, and with it 50 MB of Perl.
    options += ["--include=usr-is-merged", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    options += [f"--aptopt={option}" for option in APT]
    options += [f"--dpkgopt=path-exclude={path}" for path in LEAVE_OUT]
    with tempfile.TemporaryDirectory(prefix="flip-base-") as folder:
        tar = Path(folder) / "base.tar"
        done = subprocess.run(
            ["mmdebstrap", *options, SUITE, str(tar), *sources],  # noqa: S607 - found by PATH above
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ImagesError(f"mmdebstrap failed with status {done.returncode}:\n{done.stderr.strip()[-3000:]}")
        docker.run(["import", "--change", 'CMD ["bash"]', str(tar), tag])

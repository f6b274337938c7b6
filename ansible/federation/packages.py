"""Debian packages as a site without internet has them: a mirror of its own, and files.

What is fetched is what a bare host lacks, so this is also the list an operator carries through an airlock.
"""

from pathlib import Path

from federation.docker import docker
from federation.plan import FOLDER, LABEL, SUITE
from host_images import image_id

WANTED = (
    "ca-certificates", "docker.io", "nftables", "openssl", "python3-apt", "systemd-timesyncd", "zstd",
)  # fmt: skip
_FETCH = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
cd /out
apt-get update -qq
apt-get install -qq --download-only --no-install-recommends "$@" >/dev/null
mv /var/cache/apt/archives/*.deb .
mkdir -p /fetch/lists/partial
echo 'deb http://deb.debian.org/debian trixie main' >/fetch/trixie.list
options='-o Dir::Etc::sourcelist=/fetch/trixie.list -o Dir::Etc::sourceparts=/dev/null'
options="$options -o Dir::State::lists=/fetch/lists"
apt-get $options update -qq
apt-get $options -o APT::Sandbox::User=root download -qq docker-compose
apt-ftparchive packages . >Packages
"""


def fetch(host_image: str) -> Path:
    """Fetches what a bare host needs, once for each host image and list; returns the folder, an apt source."""
    folder = FOLDER / "packages"
    stamp = folder / "complete"
    wanted = f"{image_id(host_image)} {SUITE} {' '.join(WANTED)}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    docker(
        "run", "--rm", "--label", LABEL, "--volume", f"{folder}:/out", host_image,
        "sh", "-c", _FETCH, "fetch", *WANTED,
    )  # fmt: skip
    stamp.write_text(wanted, encoding="utf-8")
    return folder

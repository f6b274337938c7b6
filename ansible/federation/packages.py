"""Debian packages as a site without internet has them: a mirror of its own, and files.

What is fetched is what a bare host lacks, so this is also the list an operator carries through an airlock.
"""

from pathlib import Path

from federation.docker import docker
from federation.plan import FOLDER, LABEL, Site
from host_images import SUITES, image_id

WANTED = ("ca-certificates", "nftables", "openssl", "python3-apt", "systemd-timesyncd", "zstd")
_FETCH = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
cd /out
apt-get update -qq
apt-get install -qq --download-only --no-install-recommends "$@" >/dev/null
mv /var/cache/apt/archives/*.deb .
if ! ls docker-compose* >/dev/null 2>&1; then  # Debian 12 has no Compose 2
  mkdir -p /fetch/lists/partial
  echo 'deb http://deb.debian.org/debian trixie main' >/fetch/trixie.list
  options='-o Dir::Etc::sourcelist=/fetch/trixie.list -o Dir::Etc::sourceparts=/dev/null'
  options="$options -o Dir::State::lists=/fetch/lists"
  apt-get $options update -qq
  apt-get $options -o APT::Sandbox::User=root download -qq docker-compose
fi
apt-ftparchive packages . >Packages
"""


def fetch(suite: str, host_image: str) -> Path:
    """Fetches what a bare host needs, once for each host image and list; returns the folder, an apt source."""
    folder = FOLDER / "packages" / suite
    stamp = folder / "complete"
    packages = (*WANTED, *SUITES[suite].engine.split())
    wanted = f"{image_id(host_image)} {' '.join(packages)}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    docker(
        "run", "--rm", "--label", LABEL, "--volume", f"{folder}:/out", host_image,
        "sh", "-c", _FETCH, "fetch", *packages,
    )  # fmt: skip
    stamp.write_text(wanted, encoding="utf-8")
    return folder


def give(site: Site, folder: Path) -> None:
    """Puts the folder in the place where the site's inventory looks for packages that come as files."""
    link = FOLDER / "mirrors" / site.name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)

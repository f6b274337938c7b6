"""What provisions a site without internet, from a release's own files: packages for apt, and Ansible."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from flip_airlock import AirlockError
from flip_airlock.site import Site

LAUNCHER = """#!/bin/sh
# Ansible of the release that counts here, with its own settings. It stays with that release to its end, though the
# playbook may have another one count: paths through `current` are given to it as they are now.
set -eu
release=$(readlink -f {folder}/current)
for given; do
  shift
  case $given in {folder}/current/*) given=$release/${{given#{folder}/current/}} ;; esac
  set -- "$@" "$given"
done
export LC_ALL=C.UTF-8 PYTHONPATH={folder}/ansible/${{release##*/}}
[ -d "$PYTHONPATH" ] || python3 -I {folder}/flip-airlock.pyz ansible --site-folder {folder} >&2
export ANSIBLE_CONFIG=$release/files/playbook/ansible/ansible.cfg
exec {python} -m ansible playbook "$@"
"""
# The Python that runs Ansible on hosts of each supported suite. Ubuntu 22.04 has one beside its own, which is too old.
PYTHONS = {"bookworm": "3.11", "trixie": "3.13", "jammy": "3.11", "noble": "3.12"}

APT = """# What apt takes packages from where APT_CONFIG names this file: the release that counts here, nothing else.
APT::Sandbox::User "root";
Dir::Etc::sourcelist "{folder}/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "{folder}/apt/lists";
"""
SOURCE = "deb [trusted=yes] file:{packages} ./\n"


def offer_packages(site: Site) -> bool:
    """Has apt know the packages of the release that counts, and no others; whether it brings any for this host.

    Raises:
        AirlockError: apt does not take them; the text is what it said.
    """
    packages = site.folder / "current" / "files" / "apt" / suite()
    if not (packages / "Packages").is_file():
        return False
    folder = site.folder / "apt"
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(SOURCE.format(packages=packages))
    (site.folder / "apt.conf").write_text(APT.format(folder=site.folder))
    _apt_get(site, "update")
    return True


def _apt_get(site: Site, *arguments: str) -> None:
    """apt-get, with the release's packages alone."""
    environment = {**os.environ, "APT_CONFIG": str(site.folder / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AirlockError(
            f"apt-get {arguments[0]} with the packages of {site.folder}/current: {done.stderr.strip()[-2000:]}"
        )


def suite() -> str:
    """This host's release of Debian or Ubuntu, such as bookworm."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def install_ansible(site: Site) -> Path:
    """Installs it; returns the program that runs playbooks with it. One that is there already stays.

    Raises:
        AirlockError: the release does not bring it for this host, or it cannot be installed.
    """
    wheels = site.folder / "current" / "files" / "wheels" / suite()
    target = site.folder / "ansible" / site.current
    program = site.folder / "ansible-playbook"
    if not (wheels.is_dir() and any(wheels.glob("pip-*.whl"))):
        there = ", ".join(sorted(path.name for path in wheels.parent.glob("*"))) or "none"
        raise AirlockError(
            f"release {site.current or '(none is loaded)'} brings no Ansible for {suite() or 'this system'}, but for: "
            f"{there}; load a bundle that does (pack --suite), or run the playbook from another machine"
        )
    python = _python(site)
    if not target.is_dir():
        part = target.parent / ".part"
        shutil.rmtree(part, ignore_errors=True)
        pip = next(wheels.glob("pip-*.whl")) / "pip"
        command = [python, str(pip), "install", "--quiet", "--no-index", "--no-cache-dir", "--no-compile"]
        command += ["--disable-pip-version-check", "--root-user-action=ignore"]
        command += ["--find-links", str(wheels), "--target", str(part), "ansible-core"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONNOUSERSITE": "1"}
        )
        if done.returncode:
            raise AirlockError(f"Ansible cannot be installed from {wheels}: {done.stderr.strip()[-2000:]}")
        part.rename(target)
    part = program.with_name(".ansible-playbook")  # the one that is there may be what called this
    part.write_text(LAUNCHER.format(folder=site.folder, python=python))
    part.chmod(0o755)
    part.rename(program)
    return program


def _python(site: Site) -> str:
    """The program that runs Ansible on this host; installed from the release's packages where it is missing."""
    python = f"python{PYTHONS[suite()]}"
    if shutil.which(python) is None:
        if not offer_packages(site):
            raise AirlockError(f"{python} is missing, and release {site.current} brings no packages for {suite()}")
        _apt_get(site, "install", "--yes", "--no-install-recommends", python)
    return python

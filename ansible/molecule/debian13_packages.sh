#!/bin/sh
# Installs packages of Debian 13 on Debian 12, as root: debian13_packages.sh docker-compose ...
# For programs that stand alone, such as Docker's plugins, which Debian 12 does not have.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p lists/partial
echo 'deb http://deb.debian.org/debian trixie main' >trixie.list
from_trixie() {
  apt-get -qq -o "Dir::Etc::sourcelist=$work/trixie.list" -o Dir::Etc::sourceparts=/dev/null \
    -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root "$@"
}
from_trixie update
from_trixie download "$@"
dpkg --install ./*.deb

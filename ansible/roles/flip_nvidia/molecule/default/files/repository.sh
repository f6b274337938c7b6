#!/bin/sh
# A signed apt repository with the stand-in for the toolkit, as NVIDIA or a hospital's mirror has one.
set -eu
apt-get update -qq
apt-get install -qq --no-install-recommends gnupg >/dev/null
cd /srv/toolkit
chmod -R u=rwX,go=rX package && chmod 755 package/usr/bin/* package/DEBIAN
mkdir -p repository
dpkg-deb --build --root-owner-group package repository >/dev/null
cd repository
apt-ftparchive packages . >Packages
apt-ftparchive release . >/tmp/Release
export GNUPGHOME=/root/signing
mkdir -m 0700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-gen-key 'toolkit <toolkit@example.org>' ed25519
gpg --batch --quiet --clearsign --output InRelease /tmp/Release
gpg --batch --quiet --armor --export >/srv/toolkit/key.asc

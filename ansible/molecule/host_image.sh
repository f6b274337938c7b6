#!/bin/sh
# Makes the image of a bare systemd host: host_image.sh SUITE TAG [MIRROR], as root, with debootstrap and docker.
# Only what a minimal installation and sudo have: no Docker, no python3-apt, no firewall. Roles have to cope with that.
set -eu
suite=$1 tag=$2 mirror=${3:-http://deb.debian.org/debian}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,python3,iproute2,procps,ca-certificates,apt-utils,sudo "$suite" "$root" "$mirror"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

# /proc/sys outside net/ belongs to the machine below: a role must not be able to change it.
cat > "$root/sbin/host-init" <<'INIT'
#!/bin/sh
for tree in vm kernel fs dev debug abi user; do
  [ -d "/proc/sys/$tree" ] || continue
  mount --bind "/proc/sys/$tree" "/proc/sys/$tree" && mount -o remount,bind,ro "/proc/sys/$tree"
done
exec /sbin/init "$@"
INIT
chmod 755 "$root/sbin/host-init"
for unit in systemd-sysctl systemd-modules-load; do ln -sf /dev/null "$root/etc/systemd/system/$unit.service"; done

tar -C "$root" -c . | docker import \
    --change 'CMD ["/sbin/host-init"]' --change 'LABEL flip.molecule=image' - "$tag"

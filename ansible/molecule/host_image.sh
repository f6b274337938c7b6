#!/bin/sh
# Makes the image of a bare systemd host, as root, with debootstrap and docker; COMPONENTS have commas between them:
#     host_image.sh SUITE TAG KEYRING MIRROR COMPONENTS SCRIPT [POCKET...]
# Only what a minimal installation has that one signs in to: no Docker, no python3-apt, no firewall. Roles have to cope with that.
set -eu
suite=$1 tag=$2 keyring=$3 mirror=$4 components=$5 script=$6
shift 6
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --keyring="$keyring" --components="$components" \
    --include=systemd,systemd-sysv,dbus,python3,iproute2,procps,ca-certificates,apt-utils,sudo,openssh-client \
    "$suite" "$root" "$mirror" "/usr/share/debootstrap/scripts/$script"
for pocket; do echo "deb $mirror $suite-$pocket $components" | tr , ' ' >> "$root/etc/apt/sources.list"; done
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
    --change 'CMD ["/sbin/host-init"]' --change 'LABEL flip.molecule=image' \
    --change "LABEL flip.molecule.made-by=$(sha256sum <"$0" | cut -c 1-64)" - "$tag"

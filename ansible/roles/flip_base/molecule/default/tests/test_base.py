"""What other roles and an operator count on."""

import pytest

TREE = {
    "/opt/flip": ("root", "root", 0o755),
    "/opt/flip/config": ("root", "flip", 0o750),
    "/opt/flip/kit": ("root", "root", 0o700),
    "/opt/flip/data": ("flip", "flip", 0o750),
    "/opt/flip/fl": ("flip", "flip", 0o700),
    "/opt/flip/airlock": ("root", "root", 0o750),
    "/opt/flip/volumes": ("root", "root", 0o711),
    "/opt/flip/backup": ("root", "root", 0o700),
}


def test_the_service_user_has_the_images_number_and_cannot_sign_in(host):
    user = host.user("flip")
    assert (user.uid, user.gid, user.shell) == (10001, 10001, "/usr/sbin/nologin")
    assert user.groups == ["flip"]
    assert host.run("getent shadow flip").stdout.split(":")[1].startswith(("!", "*"))


@pytest.mark.parametrize("path", TREE)
def test_folders_belong_to_whom_they_should(host, path):
    folder = host.file(path)
    assert (folder.is_directory, folder.user, folder.group, folder.mode) == (True, *TREE[path])


def test_the_service_user_reads_settings_but_neither_kit_nor_backup(host):
    assert host.run("setpriv --reuid 10001 --regid 10001 --clear-groups ls /opt/flip/config").rc == 0
    for closed in ("/opt/flip/kit", "/opt/flip/backup"):
        assert host.run(f"setpriv --reuid 10001 --regid 10001 --clear-groups ls {closed}").rc != 0
    assert host.run("setpriv --reuid 10001 --regid 10001 --clear-groups touch /opt/flip/config/x").rc != 0


def test_a_time_service_starts_at_boot(host):
    assert host.service("systemd-timesyncd").is_enabled


def test_packages_are_there(host):
    assert all(host.package(name).is_installed for name in ("ca-certificates", "openssl", "zstd"))

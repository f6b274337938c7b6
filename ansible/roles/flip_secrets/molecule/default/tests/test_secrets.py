"""Secrets are root's alone and differ."""


def test_files_are_roots_alone(host):
    folder = host.file("/opt/flip/config/secrets")
    assert (folder.user, folder.mode) == ("root", 0o700)
    for name in ("omop_owner", "omop_reader"):
        file = host.file(f"/opt/flip/config/secrets/{name}")
        assert (file.user, file.mode) == ("root", 0o600)
        assert len(file.content_string.strip()) == 48


def test_no_two_are_the_same(host):
    read = [host.file(f"/opt/flip/config/secrets/{name}").content_string for name in ("omop_owner", "omop_reader")]
    assert read[0] != read[1]

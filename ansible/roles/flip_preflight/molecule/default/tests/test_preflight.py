"""The preflight only looks."""


def test_nothing_was_touched(host):
    for path in ("/opt/flip", "/etc/flip", "/etc/docker"):
        assert not host.file(path).exists
    assert not host.user("flip").exists

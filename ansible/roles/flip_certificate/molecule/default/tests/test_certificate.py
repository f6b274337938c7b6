"""Certificates are for their names and of the host's authority; keys are root's alone."""

import pytest

FOLDER = "/opt/flip/config/certificates"


def test_the_folder_is_roots_alone(host):
    folder = host.file(FOLDER)
    assert (folder.user, folder.mode) == ("root", 0o700)
    assert sorted(folder.listdir()) == ["ca.crt", "ca.key", "fl-server.crt", "fl-server.key", "hub.crt", "hub.key"]


@pytest.mark.parametrize("name", ["ca", "hub", "fl-server"])
def test_keys_are_roots_alone(host, name):
    key = host.file(f"{FOLDER}/{name}.key")
    assert (key.user, key.mode) == ("root", 0o600)


@pytest.mark.parametrize("option", ["-verify_hostname hub.test", "-verify_ip 192.0.2.7"])
def test_the_hubs_is_for_its_names(host, option):
    command = f"openssl verify -purpose sslserver -x509_strict {option} -CAfile {FOLDER}/ca.crt {FOLDER}/hub.crt"
    assert host.run(command).rc == 0, host.run(command).stderr


def test_the_hubs_cannot_sign_others(host):
    shown = host.check_output(f"openssl x509 -noout -ext basicConstraints,keyUsage -in {FOLDER}/hub.crt")
    assert "CA:FALSE" in shown
    assert "Certificate Sign" not in shown


def test_the_operators_is_as_it_came(host):
    command = f"openssl x509 -noout -subject -nameopt RFC2253 -in {FOLDER}/fl-server.crt"  # the same from each version
    assert "CN=own.test" in host.check_output(command)

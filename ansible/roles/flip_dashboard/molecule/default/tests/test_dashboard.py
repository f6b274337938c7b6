"""Dashboard and FL server answer with good certificates after a renewal and a boot; what fails is seen."""

import json
from pathlib import Path

import pytest

FOLDER = "/opt/flip/config/certificates"
UNIT = "flip-dashboard-certificate.service"
FILES = Path(__file__).resolve().parents[1] / "files"
SERVED = "openssl s_client -connect 127.0.0.1:443 -servername dashboard.test </dev/null 2>/dev/null | openssl x509 "


def status(host):
    """What a health check from outside sees."""
    script = (
        "import ssl, urllib.request, urllib.error\n"
        "context = ssl.create_default_context(cafile='/srv/acme-ca.pem')\n"
        "try: print(urllib.request.urlopen('https://dashboard.test/flip-health', context=context).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    return host.check_output("python3 -c %s", script)


def test_the_admin_signs_in_over_tls_after_a_boot(host):
    assert host.check_output("python3 -c %s", (FILES / "project.py").read_text(encoding="utf-8")) == "signed in"


def test_the_renewed_certificate_is_served(host):
    serial = host.check_output(f"{SERVED} -noout -serial")
    assert serial == host.check_output(f"openssl x509 -noout -serial -in {FOLDER}/dashboard.crt")
    assert serial != host.check_output("openssl x509 -noout -serial -in /srv/before.crt")
    assert "Pebble" in host.check_output(f"{SERVED} -noout -issuer")


def test_the_key_is_roots_alone(host):
    for name in ("dashboard.key", "dashboard.crt"):
        file = host.file(f"{FOLDER}/{name}")
        assert (file.user, file.group, file.mode) == ("root", "root", 0o640)


@pytest.mark.parametrize("port", [8002, 8003])
def test_the_fl_server_asks_for_certificates_of_its_own_authority(host, port):
    startup = "/opt/flip/kit/server/startup"
    ask = f"openssl s_client -connect 127.0.0.1:{port} -servername fl.test -verify_return_error"
    ask += f" -CAfile {startup}/rootCA.pem"
    shown = host.run(f"{ask} -verify_hostname fl.test -cert {startup}/server.crt -key {startup}/server.key </dev/null")
    assert "Verify return code: 0 (ok)" in shown.stdout, shown.stdout + shown.stderr
    without = host.run(f"{ask} -tls1_2 </dev/null")
    assert without.rc != 0, "it took a client without a certificate"


@pytest.mark.parametrize("unit", ["flip-dashboard", "flip-dashboard-fl", "nginx"])
def test_what_serves_starts_at_boot(host, unit):
    assert host.service(unit).is_enabled
    assert host.service(unit).is_running


@pytest.mark.parametrize("timer", ["certificate", "health"])
def test_timers_wait_for_their_time(host, timer):
    unit = host.service(f"flip-dashboard-{timer}.timer")
    assert unit.is_enabled
    assert unit.is_running


def test_containers_are_confined_and_hold_no_secret_in_their_definition(host):
    shown = host.check_output("docker inspect flip-dashboard-dashboard-1 flip-dashboard-fl-server-1")
    for container in json.loads(shown):
        assert container["Config"]["User"] == "10001:10001"
        assert container["HostConfig"]["ReadonlyRootfs"]
    arguments = host.check_output("ps -eo args")
    for name in ("dashboard_admin", "dashboard_root_key", "dashboard_sessions"):
        secret = host.file(f"/opt/flip/config/secrets/{name}").content_string.strip()
        assert secret not in shown
        assert secret not in arguments


def test_the_dashboard_itself_listens_on_this_host_alone(host):
    (published,) = json.loads(host.check_output("docker inspect flip-dashboard-dashboard-1"))[0]["HostConfig"][
        "PortBindings"
    ].values()
    assert published == [{"HostIp": "127.0.0.1", "HostPort": "8443"}]


def test_the_keys_of_the_project_are_the_services_own(host):
    for path in ("/opt/flip/data/dashboard/db.sqlite", "/opt/flip/kit/server/startup/server.key"):
        file = host.file(path)
        assert (file.uid, file.mode & 0o077) == (10001, 0), path


def test_another_name_is_not_served(host):
    shown = host.run("openssl s_client -quiet -connect 127.0.0.1:443 <<EOF\nGET / HTTP/1.0\nHost: other.test\n\nEOF")
    assert "421" in shown.stdout


def test_a_well_host_says_so(host):
    assert host.run("flip-dashboard-health").rc == 0
    assert status(host) == "200"


@pytest.fixture
def settings(host):
    """The settings, put back as they were."""
    kept = host.check_output("cat /etc/flip/dashboard.json")
    yield json.loads(kept)
    host.check_output("printf '%%s\\n' %s >/etc/flip/dashboard.json", kept)


def test_a_certificate_that_ends_too_soon_is_seen(host, settings):
    changed = json.dumps({**settings, "days": 36500})
    host.check_output("printf '%%s\\n' %s >/etc/flip/dashboard.json", changed)
    assert host.run("systemctl start flip-dashboard-health.service").rc != 0
    journal = host.check_output("journalctl -q -o cat -n 20 -u flip-dashboard-health.service")
    assert "FAILED  the certificate of port 443 ends in" in journal
    assert "FAILED  the certificate of port 8002 ends in" in journal
    assert status(host) == "503"


def test_a_renewal_that_the_authority_does_not_answer_is_seen(host):
    """Pebble is gone since the boot, and now the certificate is due."""
    due = "/opt/flip/config/acme/renewal/dashboard.conf"
    host.check_output(f"sed -i '1i renew_before_expiry = 3650 days' {due}")
    assert host.run(f"systemctl start {UNIT}").rc != 0
    assert host.check_output(f"systemctl show --property=ActiveState --value {UNIT}") == "failed"
    health = host.run("flip-dashboard-health")
    assert health.rc == 1
    assert f"FAILED  the last run of {UNIT} failed" in health.stdout
    assert status(host) == "503"
    host.check_output(f"sed -i 1d {due} && systemctl start {UNIT} && flip-dashboard-health")
    assert status(host) == "200"


def test_a_certificate_that_does_not_reach_the_server_is_seen(host):
    """What was renewed lies there, but the front cannot be reloaded."""
    live, kept = "/opt/flip/config/acme/live/dashboard", "/srv/kept"
    host.check_output(
        f"mkdir {kept} && cp -L {live}/fullchain.pem {live}/privkey.pem {kept}"
        " && echo nonsense >/etc/nginx/conf.d/a.conf"
        f" && openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=dashboard.test -keyout {live}/privkey.pem"
        f" -out {live}/fullchain.pem 2>/dev/null"
    )
    assert host.run(f"systemctl start {UNIT}").rc != 0
    assert "nginx ended with status 1" in host.check_output(f"journalctl -q -o cat -n 20 -u {UNIT}")
    host.check_output(
        f"rm /etc/nginx/conf.d/a.conf && cp {kept}/fullchain.pem {kept}/privkey.pem {live} && systemctl start {UNIT}"
    )
    assert host.run("flip-dashboard-health").rc == 0

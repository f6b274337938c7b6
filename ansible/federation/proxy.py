"""A hospital's HTTP proxy, its only way out: it wants a password, and looks into TLS with an authority of its own."""

import re
import secrets
from collections.abc import Iterable

from federation.docker import FederationError, docker, inside, start
from federation.onboard import kits
from federation.plan import API_PORT, API_URL, FL_NAME, FL_PORT, HUB, HUB_NAME, PROXY_PORT, Site
from flipctl.api import wait_for
from flipctl.demo.checks import Check

USER = "flip"
START_SECONDS = 30
_LOG = "/var/log/squid/access.log"
# What it looked into has no CONNECT of its own to be signed in with. FL's TLS knows its two ends: it passes untouched.
_SQUID = f"""
http_port {PROXY_PORT} ssl-bump generate-host-certificates=on tls-cert=/etc/squid/ca.pem tls-key=/etc/squid/ca.key
sslcrtd_program /usr/lib/squid/security_file_certgen -s /var/spool/squid/certificates -M 4MB
tls_outgoing_options cafile=/etc/squid/hub-ca.pem
acl begun at_step SslBump1
acl hub ssl::server_name {HUB_NAME}
ssl_bump peek begun
ssl_bump bump hub
ssl_bump splice all
auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/users
acl signed_in proxy_auth REQUIRED
acl ends dstdomain {HUB_NAME} {FL_NAME}
acl ports port {API_PORT} {FL_PORT}
acl looked_into url_regex ^https://{re.escape(HUB_NAME)}/
http_access deny !ends
http_access deny !ports
http_access allow CONNECT signed_in
http_access allow looked_into
http_access deny all
logformat seen %>Hs %rm %ru
access_log stdio:{_LOG} seen
cache deny all
cache_mem 8 MB
max_filedescriptors 1024
pinger_enable off
visible_hostname proxy
"""
_START = f"""
set -eu
umask 077
cd /etc/squid
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Authority of the proxy' -keyout ca.key -out ca.pem
read -r password
printf '{USER}:%s\\n' "$(printf %s "$password" | openssl passwd -6 -stdin)" >users
chown proxy ca.key ca.pem users hub-ca.pem
/usr/lib/squid/security_file_certgen -c -s /var/spool/squid/certificates -M 4MB
chown -R proxy /var/spool/squid
exec squid -f squid.conf
"""


def raise_proxy(site: Site, tools: str, hub_ca: str) -> None:
    """Starts the proxy; its authority and its password then lie beside the playbook, as its people told them.

    Args:
        site: where it stands.
        tools: an image with squid and openssl.
        hub_ca: the hub's authority, PEM, which the proxy trusts.
    """
    name = site.container("proxy")
    known = [f"--add-host={name}:{HUB.host}" for name in (HUB_NAME, FL_NAME)]
    start(
        name, site.network, site.proxy, tools, "--init", "--cap-add", "NET_ADMIN", *known,
        command=("sleep", "infinity"),
    )  # fmt: skip
    inside(name, "ip", "route", "replace", "default", "via", site.router)
    for file, text in {"squid.conf": _SQUID, "hub-ca.pem": hub_ca}.items():
        inside(name, "sh", "-c", f"cat >/etc/squid/{file}", feed=text)
    password = secrets.token_urlsafe(18)
    (kits() / "proxy-password").write_text(password, encoding="ascii")
    inside(name, "sh", "-c", _START, feed=f"{password}\n")
    (kits() / "proxy-ca.pem").write_text(inside(name, "cat", "/etc/squid/ca.pem"), encoding="ascii")
    ready = f"grep -q :{PROXY_PORT:04X} /proc/net/tcp /proc/net/tcp6"
    wait_for("the proxy listens", lambda: _succeeds(name, ready), START_SECONDS)


def passed(site: Site) -> Check:
    """What its log says: it saw what trust-api asks of the hub, and of FL no more than where it goes.

    Who dialled the FL server it does not tell: the FL client, or a look of preflight or `flipctl status`.
    """
    return judged(site, inside(site.container("proxy"), "cat", _LOG).splitlines())


def judged(site: Site, log: Iterable[str]) -> Check:
    """The same for lines of `status method where`."""
    good = [line.split() for line in log if line.startswith("2")]
    inner = sum(where.startswith(f"{API_URL}/trust/") for _, _, where in good)
    tunnels = sum(where == f"{FL_NAME}:{FL_PORT}" for _, _, where in good)
    told = f"{inner} requests of trust-api that it looked into, {tunnels} tunnels to the FL server"
    return Check(f"{site.trust} reached the hub through its proxy", bool(inner and tunnels), told)


def _succeeds(container: str, command: str) -> bool | None:
    try:
        docker("exec", container, "sh", "-c", command)
    except FederationError:
        return None
    return True

#!/usr/bin/python3
"""Whether dashboard and FL server are well, as clients see them: a line for each check, exit status 1 if one failed.

    flip-dashboard-health

The timer calls it every minute. A failure is in the journal and in the unit's state, and turns /flip-health of the
dashboard from 200 to 503, which a health check from outside reads.
"""

import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from probe import DAY, SYSTEM_CA, TIMEOUT_SECONDS, ProbeError, shown, trust  # it lies beside this program

SETTINGS = Path("/etc/flip/dashboard.json")
PAGE = "/nvflare-dashboard/api/v1/project"
RUNS = {"active", "activating", "reloading"}  # a Compose unit is activating until its containers are healthy


def state(unit):
    """What systemd says of a unit."""
    command = ["systemctl", "show", "--property=ActiveState", "--value", unit]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def lasts(port, name, context, days):
    """That the certificate of a port is good, and for how many days.

    Raises:
        ProbeError: it is not, or ends too soon.
    """
    left = shown(port, name, context)[1] / DAY
    if left < days:
        raise ProbeError(f"the certificate of port {port} ends in {left:.1f} days; {days} are needed")
    return f"{name}:{port} shows a certificate that is good for {left:.0f} days"


class Here(http.client.HTTPSConnection):
    """To this host, whatever its name resolves to."""

    def connect(self):
        """Connects, and verifies the name."""
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def page(settings, context):
    """That the dashboard answers behind its front.

    Raises:
        ProbeError: it does not.
    """
    try:
        link = Here(settings["domain"], settings["port"], timeout=TIMEOUT_SECONDS, context=context)
        link.request("GET", PAGE)
        status = link.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise ProbeError(f"the dashboard does not answer: {error}") from None
    if status != http.client.OK:
        raise ProbeError(f"the dashboard answers {PAGE} with status {status}")
    return "the dashboard answers"


def running(unit):
    """That a unit runs.

    Raises:
        ProbeError: it does not.
    """
    if (found := state(unit)) not in RUNS:
        raise ProbeError(f"{unit} is {found}")
    return f"{unit} is {found}"


def not_failed(unit):
    """That the last run of a unit did not fail.

    Raises:
        ProbeError: it did.
    """
    if state(unit) == "failed":
        raise ProbeError(f"the last run of {unit} failed: journalctl -u {unit}")
    return f"the last run of {unit} did not fail"


def fl_port(settings, port):
    """That the FL server answers with its kit's certificate, and for how long that is good.

    Raises:
        ProbeError: it does not, or the certificate ends too soon.
        OSError: the kit cannot be read.
    """
    startup = Path(settings["fl_kit"], "startup")
    context = trust([startup / "rootCA.pem"])
    # The server asks clients for certificates of its authority, and its own is one.
    context.load_cert_chain(startup / "server.crt", startup / "server.key")
    return lasts(port, settings["fl_name"], context, settings["days"])


def checks(settings):
    """Every check as a function and what it is called with."""
    web = trust([file for file in (SYSTEM_CA, settings["ca"]) if file and Path(file).exists()])
    for unit in ("nginx.service", "flip-dashboard.service", "flip-dashboard-certificate.timer"):
        yield running, unit
    yield lasts, settings["port"], settings["domain"], web, settings["days"]
    yield page, settings, web
    yield not_failed, "flip-dashboard-certificate.service"
    if settings["fl_ports"]:
        yield running, "flip-dashboard-fl.service"
        for port in settings["fl_ports"]:
            yield fl_port, settings, port


def main():
    """Entry point; returns the exit status."""
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    failed = 0
    for check, *arguments in checks(settings):
        try:
            print(f"ok      {check(*arguments)}")
        except (ProbeError, OSError) as error:
            failed += 1
            print(f"FAILED  {error}", flush=True)
    flag = Path(settings["healthy"])
    if failed:
        flag.unlink(missing_ok=True)
    else:
        flag.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flag.write_text("well\n", encoding="ascii")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

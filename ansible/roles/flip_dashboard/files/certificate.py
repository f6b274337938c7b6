#!/usr/bin/python3
"""The dashboard's certificate: from the authority to the server, and seen there.

    flip-dashboard-certificate renew [--force]   # what the timer calls: obtain or renew if due, then as deploy
    flip-dashboard-certificate deploy            # give the server what there is, and see that it is what it serves

Exit status 0 only when the server shows the newest certificate in a TLS handshake that a client of the name would
accept. Each run begins with what is there, so one that was interrupted, or whose reload failed, is finished by the next.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from probe import SYSTEM_CA, ProbeError, leaf, shown, trust  # noqa: E402 - it lies beside this program

SETTINGS = Path("/etc/flip/dashboard.json")
LINEAGE = "dashboard"
SERVED_SECONDS = 30


class CertificateError(Exception):
    """It could not be done; the text says why."""


def run(command, **more):
    """Runs a program whose output goes to the journal.

    Raises:
        CertificateError: it failed.
    """
    sys.stdout.flush()
    done = subprocess.run(command, check=False, **more)
    if done.returncode:
        raise CertificateError(f"{command[0]} ended with status {done.returncode}; what it says stands above")


def certbot(settings, force, own):
    """The command that obtains or renews, if due."""
    folder = settings["acme_folder"]
    command = [
        "certbot", "certonly", "--non-interactive", "--agree-tos", "--email", settings["email"], "--no-eff-email",
        "--server", settings["directory"], "--config-dir", folder, "--cert-name", LINEAGE,
        "--domain", settings["domain"], "--renew-with-new-domains", "--key-type", "ecdsa",
        "--deploy-hook", f"{own} deploy --within-renew",
    ]  # fmt: skip
    if settings["challenge"] == "dns-01-route53":
        command += ["--dns-route53"]
    else:
        command += ["--webroot", "--webroot-path", settings["challenges"]]
    return [*command, "--force-renewal" if force or moved(settings) else "--keep-until-expiring"]


def moved(settings):
    """Whether the certificate there is came from another authority than the one wanted now."""
    try:
        lines = Path(settings["acme_folder"], "renewal", f"{LINEAGE}.conf").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    return f"server = {settings['directory']}" not in lines


def surroundings(settings, bundle):
    """certbot's environment; with a private authority it trusts that besides the system's."""
    found = {**os.environ, "AWS_DEFAULT_REGION": settings["aws_region"]}
    if settings["ca"]:
        parts = [Path(file).read_text(encoding="utf-8") for file in (SYSTEM_CA, settings["ca"]) if Path(file).exists()]
        bundle.write_text("\n".join(parts), encoding="utf-8")
        found["REQUESTS_CA_BUNDLE"] = str(bundle)
    return found


def deploy(settings):
    """Gives the server the newest certificate, and sees that it serves it.

    Raises:
        CertificateError: it does not, or there is none.
    """
    live = Path(settings["acme_folder"], "live", LINEAGE)
    certificate, key = Path(settings["certificate"]), Path(settings["key"])
    newest = leaf(live / "fullchain.pem")
    if newest is None:
        raise CertificateError(f"{live} holds no certificate: none was obtained yet")
    for source, target in ((live / "privkey.pem", key), (live / "fullchain.pem", certificate)):
        content = source.read_bytes()
        if target.exists() and target.read_bytes() == content:
            continue
        new = target.with_name(f"{target.name}.new")
        new.touch(mode=0o640)
        new.write_bytes(content)
        new.replace(target)
    if served(settings) == newest:
        print(f"{settings['domain']} is served with the newest certificate")
        return
    run(["nginx", "-q", "-t"])
    run(["systemctl", "reload", "nginx.service"])
    end, last = time.monotonic() + SERVED_SECONDS, None
    while time.monotonic() < end:
        last = served(settings)
        if last == newest:
            print(f"{settings['domain']} is served with the newest certificate now")
            return
        time.sleep(0.2)
    what = "shows another one" if isinstance(last, bytes) else str(last)
    raise CertificateError(f"the new certificate does not reach the server: after a reload it {what}")


def served(settings):
    """The certificate in a handshake, or the reason why there is none."""
    try:
        ca_files = [file for file in (SYSTEM_CA, settings["ca"]) if file and Path(file).exists()]
        return shown(settings["port"], settings["domain"], trust(ca_files))[0]
    except ProbeError as error:
        return error


def main(arguments):
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="flip-dashboard-certificate", description="The dashboard's certificate.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("renew").add_argument("--force", action="store_true", help="although it is not due")
    verbs.add_parser("deploy").add_argument("--within-renew", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args(arguments)
    settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
    work = Path(settings["work"])
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.umask(0o027)
    try:
        with (work / "lock").open("w") as lock:
            if not getattr(wanted, "within_renew", False):  # certbot calls it while renew holds the lock
                fcntl.flock(lock, fcntl.LOCK_EX)
            if wanted.verb == "renew":
                own = settings["program"]
                run(certbot(settings, wanted.force, own), env=surroundings(settings, work / "ca.pem"))
            deploy(settings)
    except (CertificateError, ProbeError) as error:
        print(f"flip-dashboard-certificate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

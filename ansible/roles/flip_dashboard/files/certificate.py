#!/usr/bin/python3
"""The dashboard's certificate: from the authority to the server, and seen there.

    flip-dashboard-certificate renew [--force]   # what the timer calls: obtain or renew if due, then as deploy
    flip-dashboard-certificate deploy            # give the server what there is, and see that it is what it serves

Exit status 0 only when the server shows the newest certificate in a TLS handshake that a client of the name would
accept. Each run begins with what is there, so one that was interrupted, or whose reload failed, is finished by the
next.
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
from probe import SYSTEM_CA, ProbeError, leaf, shown, trust  # it lies beside this program

SETTINGS = Path("/etc/flip/dashboard.json")
LINEAGE = "dashboard"
ASKED = "flip-asked.json"
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


def certbot(settings, force):
    """The command that obtains what the settings ask for, or renews what was obtained for them.

    Of a certificate that is not due, `certbot renew` asks the authority nothing, so that its bad days are not ours.
    """
    folder = settings["acme_folder"]
    common = ["--non-interactive", "--config-dir", folder, "--cert-name", LINEAGE]
    if asked(settings) == obtained(settings):
        return ["certbot", "renew", "--no-random-sleep-on-renew", *common, *(["--force-renewal"] if force else [])]
    command = [
        "certbot", "certonly", *common, "--agree-tos", "--email", settings["email"], "--no-eff-email",
        "--server", settings["directory"], "--domain", settings["domain"], "--renew-with-new-domains",
        "--key-type", "ecdsa", "--force-renewal", "--deploy-hook", f"{settings['program']} deploy --within-renew",
    ]  # fmt: skip
    if settings["challenge"] == "dns-01-route53":
        return [*command, "--dns-route53"]
    return [*command, "--webroot", "--webroot-path", settings["challenges"]]


def asked(settings):
    """What a certificate is asked for with."""
    return {name: settings[name] for name in ("domain", "directory", "challenge", "email")}


def obtained(settings):
    """What the certificate there is was asked for with; None where there is none."""
    try:
        return json.loads(Path(settings["acme_folder"], ASKED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


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
    before = {file: file.read_bytes() if file.exists() else None for file in (key, certificate)}
    wanted = {key: (live / "privkey.pem").read_bytes(), certificate: (live / "fullchain.pem").read_bytes()}
    if before == wanted and served(settings) == newest:
        print(f"{settings['domain']} is served with the newest certificate")
        return
    put(wanted)
    try:
        run(["nginx", "-q", "-t"])
    except CertificateError:
        put(before)  # with it the server comes up again, whatever else is wrong
        raise
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


def put(files):
    """Writes each file, or nothing where it was not there; root and its group may read it."""
    for file, content in files.items():
        if content is None or (file.exists() and file.read_bytes() == content):
            continue
        new = file.with_name(f"{file.name}.new")
        new.touch(mode=0o640)
        new.write_bytes(content)
        new.replace(file)


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
                run(certbot(settings, wanted.force), env=surroundings(settings, work / "ca.pem"))
                Path(settings["acme_folder"], ASKED).write_text(json.dumps(asked(settings)), encoding="utf-8")
            deploy(settings)
    except (CertificateError, ProbeError) as error:
        print(f"flip-dashboard-certificate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

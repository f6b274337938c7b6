#!/usr/bin/env python3
"""Health check of the images: a URL answers, or processes run. Exit status 0 if so, 1 with a reason if not.

    flip-health http://127.0.0.1:8020/health
    flip-health --or-tls http://127.0.0.1:8000/api/health
    flip-health --accept 401 http://127.0.0.1:8042/system
    flip-health --process flip_fl.flower.supernode

Only the standard library: it runs in images that have no packages.
"""

import argparse
import http.client
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 4


def wrong_with_url(url: str, accepted: list[int]) -> str | None:
    """What is wrong with a URL's answer; None when it answers 200 or an accepted status."""
    # It asks the container itself: no proxy of the site's, and a certificate that names another address is right.
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    return None if status == 200 or status in accepted else f"{url}: status {status}"


def running_modules(proc: Path = Path("/proc")) -> set[str]:
    """Names of the Python modules that processes of this container were started as (`python -m NAME`)."""
    found = set()
    for path in proc.glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # ended meanwhile
            continue
        if "-m" in words[:-2]:
            found.add(words[words.index("-m") + 1])
    return found


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="flip-health", description="Looks whether this container is healthy.")
    parser.add_argument("--accept", type=int, action="append", default=[], help="a status that is as good as 200")
    parser.add_argument("--or-tls", action="store_true", help="try https where http does not do")
    parser.add_argument("--process", action="append", default=[], help="a Python module that must be running")
    parser.add_argument("url", nargs="*")
    wanted = parser.parse_args(arguments)
    if not wanted.url and not wanted.process:
        parser.error("give a URL or --process")
    wrong = []
    for url in wanted.url:
        found = wrong_with_url(url, wanted.accept)
        if found and wanted.or_tls:
            found = wrong_with_url(url.replace("http:", "https:", 1), wanted.accept)
        wrong += [found] if found else []
    wrong += [f"{name} does not run" for name in sorted(set(wanted.process) - running_modules())]
    sys.stdout.write("; ".join(wrong) or "healthy")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m xnat_stand_in --root FOLDER`: runs until it gets SIGTERM."""

import argparse
import signal
from pathlib import Path

from xnat_stand_in import StandIn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--properties", type=Path, help="xnat-conf.properties with the database")
    given = parser.parse_args()
    server = StandIn(given.root, host=given.host, port=given.port, properties=given.properties)
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()

"""Process of a ServerApp: Flower's own, with the platform's hook between the app and the SuperLink.

Arguments: the folder of launches, then those of `flwr-serverapp`.
"""

import os
import sys
from pathlib import Path

from flip_fl.flower import internals
from flip_fl.flower.files import Rosters
from flip_fl.flower.hooks.server import GridHook
from flip_fl.hub import HubClient
from flip_fl.processes import end_with_parent

POLL_VARIABLE = "FLIP_FL_GRID_POLL_SECONDS"
ROSTERS_VARIABLE = "FLIP_FL_ROSTERS"


def main() -> None:
    """Runs the app. Returns never."""
    end_with_parent()
    folder, *arguments = sys.argv[1:]
    poll = float(os.environ.pop(POLL_VARIABLE))
    rosters = Rosters(Path(os.environ.pop(ROSTERS_VARIABLE)))
    hook = GridHook(Path(folder), rosters, HubClient.from_environment())
    internals.run_serverapp(arguments, hook, poll)


if __name__ == "__main__":
    main()

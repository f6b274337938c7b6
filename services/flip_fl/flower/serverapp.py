"""Process of a ServerApp: Flower's own, with the platform's hook between the app and the SuperLink."""

import os
from pathlib import Path

from flip_fl.flower import internals
from flip_fl.flower.files import Rosters
from flip_fl.flower.hooks.server import GridHook
from flip_fl.flower.nursery import Launch
from flip_fl.hub import HubClient

POLL_VARIABLE = "FLIP_FL_GRID_POLL_SECONDS"
ROSTERS_VARIABLE = "FLIP_FL_ROSTERS"


def main(launch: Launch) -> None:
    """Runs the app. Returns never."""
    poll = float(os.environ.pop(POLL_VARIABLE))
    rosters = Rosters(Path(os.environ.pop(ROSTERS_VARIABLE)))
    hook = GridHook(launch.folder, rosters, HubClient.from_environment())
    internals.run_serverapp(launch.arguments, launch.token, hook, poll)

"""Process of a ClientApp at a site: Flower's own, with a guard that keeps what the app raises at the site."""

from flip_fl.flower import internals
from flip_fl.flower.hooks.client import guard, note_metrics
from flip_fl.flower.nursery import Launch


def main(launch: Launch) -> None:
    """Runs the app. Returns never."""
    internals.run_clientapp(launch.arguments, launch.token, guard, note_metrics)

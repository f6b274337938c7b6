"""Process of a ClientApp at a site: Flower's own, with a guard that keeps what the app raises at the site.

Arguments: the folder of launches, then those of `flwr-clientapp`.
"""

import sys

from flip_fl.flower import internals
from flip_fl.flower.hooks.client import guard, note_metrics
from flip_fl.processes import end_with_parent


def main() -> None:
    """Runs the app. Returns never."""
    end_with_parent()
    _, *arguments = sys.argv[1:]
    internals.run_clientapp(arguments, guard, note_metrics)


if __name__ == "__main__":
    main()

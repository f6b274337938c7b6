"""Everything this package uses of Flower's inside (flwr 1.41), in one place, imported when needed.

Flower promises no stability for these modules: the version is pinned, and a new one is adopted by going through this
folder. The rest of the package knows Flower by the names below only.
"""

from flip_fl.flower.internals.common import CLIENT_APP, QUIET, SERVER_APP, configure_flower
from flip_fl.flower.internals.control import (
    Control,
    ControlRefusedError,
    Member,
    Run,
    build_fab,
    normalise_public_key,
)
from flip_fl.flower.internals.hub import (
    fleet_paths,
    make_federation_manager,
    run_serverapp,
    run_superexec,
    superlink_app,
)
from flip_fl.flower.internals.site import (
    PendingReply,
    error_name,
    run_clientapp,
    run_supernode,
    set_error_reason,
)

__all__ = [
    "CLIENT_APP",
    "QUIET",
    "SERVER_APP",
    "Control",
    "ControlRefusedError",
    "Member",
    "PendingReply",
    "Run",
    "build_fab",
    "configure_flower",
    "error_name",
    "fleet_paths",
    "make_federation_manager",
    "normalise_public_key",
    "run_clientapp",
    "run_serverapp",
    "run_superexec",
    "run_supernode",
    "set_error_reason",
    "superlink_app",
]

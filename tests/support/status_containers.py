"""A container that is well, as the tests of `flipctl status` vary it."""

from datetime import UTC, datetime
from typing import Any

from flipctl.status.engine import Container


def well(project: str, service: str, image: str, **other: Any) -> Container:
    """A healthy container of this project and service."""
    values: dict[str, Any] = {
        "release": "0.1.0",
        "state": "running",
        "health": "healthy",
        "exit_code": 0,
        "restarts": 0,
        "lasting": True,
        "swarm": False,
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "addresses": ("127.0.0.1",),
        "published": {},
    }
    name = f"{project}-{service}-1"
    return Container(project=project, service=service, name=name, image=image, **(values | other))

"""Plans of OpenTofu or Terraform, as tests read them."""

from typing import Any


def resources(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Planned values by address, without what is not known yet."""
    managed = [entry for entry in plan["resource_changes"] if entry["mode"] == "managed"]
    return {entry["address"]: {k: v for k, v in entry["change"]["after"].items() if v is not None} for entry in managed}

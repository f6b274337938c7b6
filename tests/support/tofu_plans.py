"""Plans of OpenTofu or Terraform, as tests read them."""

from typing import Any


def resources(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Planned values by address, without what is not known yet."""
    managed = [entry for entry in plan["resource_changes"] if entry["mode"] == "managed"]
    return {entry["address"]: {k: v for k, v in entry["change"]["after"].items() if v is not None} for entry in managed}


def applied(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Values by address of what is managed, from `show -json` of a state, which knows all of them."""
    found: dict[str, dict[str, Any]] = {}
    modules = [state["values"]["root_module"]]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        managed = [entry for entry in module.get("resources", []) if entry["mode"] == "managed"]
        found |= {entry["address"]: {"type": entry["type"], **entry["values"]} for entry in managed}
    return found

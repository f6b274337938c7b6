"""Refuses variables that no role knows and values that are not of their type; words what is missing."""

from difflib import get_close_matches
from pathlib import Path

import yaml

# Argument specs turn "a,b" into a list and "12" into a number, but the role's own variable stays the text it was, and
# a loop over a text is a loop over its letters. So types are taken literally here.
TYPES = {"list": list, "dict": dict, "int": int, "float": (int, float), "bool": bool, "str": str, "path": str}


def flip_variable_errors(values, specs):
    """One line a problem; nothing if there is none.

    `values`: every variable of the host whose name starts with `flip_`. `specs`: the parsed meta/argument_specs.yml
    of every role.
    """
    known = {name: option for spec in specs for name, option in spec["argument_specs"]["main"]["options"].items()}
    errors = []
    for name, value in sorted(values.items()):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            errors.append(f"{name}: no role has this variable" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        kind = known[name].get("type", "str")
        wrong = not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool")
        if wrong:
            shown = "its value (not shown: a secret)" if known[name].get("no_log") else repr(value)
            errors.append(f"{name}: {shown} is not of type {kind}")
    return errors


def flip_role_specs(role_path):
    """The parsed meta/argument_specs.yml of every role beside this one."""
    files = sorted(Path(role_path).resolve().parent.glob("*/meta/argument_specs.yml"))
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def flip_missing(rows):
    """One line a failed check: what, how it is, what is needed, the remedy."""
    return [
        f"{row['check']}: {row['found']}; needed: {row['needed']}. Remedy: {row['remedy']}"
        for row in rows
        if not row["ok"]
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Name to function."""
        return {
            "flip_missing": flip_missing,
            "flip_role_specs": flip_role_specs,
            "flip_variable_errors": flip_variable_errors,
        }

"""Puts the addresses of the allowed names into the firewall's sets.

    firewall_names.py NAMES SEEN

NAMES: JSON list of {to, port, protocol}. SEEN: JSON file this program keeps: when each name last had which address. An
address stays a day after it was last seen: hubs behind a CDN change theirs often, and a DNS failure must not cut a
connection off. Exits with 1, after it has done what it could, if a name has no address at all.
"""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

KEPT_SECONDS = 24 * 3600


def addresses(name):
    """The addresses of a name; none where it cannot be looked up."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return set()
    return {entry[4][0] for entry in found if entry[0] in (socket.AF_INET, socket.AF_INET6)}


def remember(names, seen, now, look_up=addresses):
    """`seen` brought up to date: {name: {address: seconds since the epoch}}."""
    fresh = {}
    for name in names:
        kept = {address: at for address, at in seen.get(name, {}).items() if now - at < KEPT_SECONDS}
        fresh[name] = {**kept, **dict.fromkeys(look_up(name), now)}
    return fresh


def commands(entries, seen):
    """What nft is told: both sets replaced in one transaction."""
    lines = []
    for family, is_ours in ((4, lambda address: ":" not in address), (6, lambda address: ":" in address)):
        elements = sorted(
            {
                f"{address} . {entry['protocol']} . {entry['port']}"
                for entry in entries
                for address in seen[entry["to"]]
                if is_ours(address)
            }
        )
        lines.append(f"flush set inet flip named{family}")
        if elements:
            lines.append(f"add element inet flip named{family} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def main():
    """Look up, remember, tell nft."""
    wanted, state = Path(sys.argv[1]), Path(sys.argv[2])
    entries = json.loads(wanted.read_text(encoding="utf-8"))
    before = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    seen = remember(sorted({entry["to"] for entry in entries}), before, time.time())
    subprocess.run(["/usr/sbin/nft", "--file", "-"], input=commands(entries, seen), text=True, check=True)
    new = state.with_suffix(".new")
    new.write_text(json.dumps(seen, indent=1), encoding="utf-8")
    new.replace(state)
    missing = [name for name, found in seen.items() if not found]
    for name in missing:
        print(f"{name} has no address: nothing can reach it until DNS knows one", file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())

"""Opening a kit at a site: every refusal comes before the first change."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from flipctl.kit import KitError, folder
from flipctl.kit.keys import Identity
from flipctl.kit.model import Header, Installed
from flipctl.kit.sealed import Kit, read, unseal

Opener = Callable[[Header], Identity | str]


def check_signer(kit: Kit, signed_by: str) -> None:
    """Holds the kit to the hub's key.

    Raises:
        KitError: another key signed it.
    """
    if kit.signed_by != signed_by:
        raise KitError(
            f"it was signed by {kit.signed_by}, expected {signed_by}; ask the hub which is right, "
            "by another way than the one the kit came by"
        )


def install(
    path: Path, *, trust: str, into: Path, signed_by: str, opener: Opener, allow_older: bool, now: datetime
) -> tuple[Header, bool]:
    """Puts the kit into its folder. Returns its header, and whether anything was changed.

    Repeating it is harmless, also after the kit has expired: its keys are at the site by then.

    Raises:
        KitError: refused; nothing was changed.
        OSError: the folder cannot be written; what lay there lies there still.
    """
    kit = read(path)
    check_signer(kit, signed_by)
    if kit.header.trust_name != trust:
        raise KitError(f"it is the kit of {kit.header.trust_name}, not of {trust}; use the one made for {trust}")
    with folder.locked(into):
        _check_against(folder.installed(into), kit, into, allow_older, now)
        files = unseal(kit, opener(kit.header)).files(kit.signed_by)
        if folder.holds(into, files):
            return kit.header, False
        folder.replace(into, files)
    return kit.header, True


def _check_against(present: Installed | None, kit: Kit, into: Path, allow_older: bool, now: datetime) -> None:
    header = kit.header
    if present == Installed(header=header, signed_by=kit.signed_by):
        return
    if problem := header.problem_with_time(now):
        raise KitError(problem)
    if present is None:
        return
    there = present.header
    if there.trust_id != header.trust_id:
        raise KitError(
            f"{into} holds the kit of {there.trust_name} ({there.trust_id}), this one is for {header.trust_id}; "
            "if this host changes its trust, move the folder away first"
        )
    if header.serial <= there.serial and not allow_older:
        raise KitError(
            f"its serial is {header.serial}, the kit in {into} has {there.serial}; use the newest kit, "
            "or --allow-older if going back is meant"
        )

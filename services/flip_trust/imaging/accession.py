"""Accession numbers: what is accepted, and why the rest is not."""

import re

from flip_trust.imaging.store import StoreError

MAX_CHARS = 64
_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,63}")
_WILDCARDS = "*?\\"


def check_accession(accession: str) -> None:
    """Refuses what could match more than one accession number, or is unfit for a path and a URL.

    A PACS reads `*`, `?` and `\\` in a query as "match any" and "several values": one such accession number could
    bring in every study of the hospital.

    Raises:
        StoreError: the accession number is refused; the text says why.
    """
    found = [char for char in _WILDCARDS if char in accession]
    if found:
        raise StoreError(f"the accession number holds {' '.join(found)}, which a PACS reads as a wildcard: refused")
    if not _ACCEPTED.fullmatch(accession):
        raise StoreError(
            f"the accession number is not 1 to {MAX_CHARS} characters of A-Z a-z 0-9 _ . ~ - that start with a "
            "letter or digit: refused"
        )

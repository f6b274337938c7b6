"""Bundles: a release packed for a site without internet, checked there, loaded, and accounted for.

What a site runs (all but `flip_airlock.pack`) needs Python 3.10 and its standard library, OpenSSH and libzstd: it has
to work on a bare host, before anything that a bundle brings is installed.
"""


class AirlockError(Exception):
    """It cannot be done; the text says why and what to do."""

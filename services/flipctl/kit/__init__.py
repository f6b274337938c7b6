"""Kits: one signed and encrypted file with everything one trust is given, and its folder at the site."""


class KitError(Exception):
    """A kit that cannot be made, read or installed; the text says why and what to do, and holds no secret."""

"""`flipctl dev`: a federation of containers on a contributor's own Docker, for working on the code."""


class DevError(Exception):
    """Something the contributor must look at; the text says what."""

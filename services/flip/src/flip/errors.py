"""What can go wrong, one class a remedy. Texts stay at the site; only class names and digests leave it."""


class FlipError(Exception):
    """Base of every error the SDK raises itself."""


class ConfigurationError(FlipError):
    """The environment does not say where to read or write; the text names what to set."""


class NotAvailableHereError(FlipError):
    """The call belongs to the other side: data are read in the ClientApp, the hub is told by the ServerApp."""


class UnreachableError(FlipError):
    """A service did not answer, or answered 5xx, on every attempt."""


class RefusedError(FlipError):
    """A service refused the call (4xx). Not tried again: the same call would be refused again.

    `status` is the HTTP status, `code` the problem's stable code, `detail` its text.
    """

    def __init__(self, call: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{call} was refused: {status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail


class StudyNotAvailableError(FlipError):
    """This accession cannot be had here; the text says why. Other accessions may well be there."""


class BadAnswerError(FlipError):
    """A service answered with something that cannot be used, such as a broken or unsafe archive."""


class StorageError(FlipError):
    """The local disk refused: full, read-only or not permitted."""

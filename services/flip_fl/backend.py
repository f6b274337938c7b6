"""What an FL backend is to the rest of FLIP. Flower is the first; NVIDIA FLARE follows the same contract.

A backend owns one net: an FL server and the sites' clients. The FL API above it speaks HTTP and knows no framework.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from uuid import UUID

from flip_common.wire import JobLogs, JobSpec, JobState, SiteState


class JobRefusedError(Exception):
    """The job cannot be run as asked, and nothing was started. `code` is stable; the text names value and remedy."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class JobConflictError(Exception):
    """There is another job with this id."""


class UnknownJobError(LookupError):
    """There is no job with this id."""


class Backend(ABC):
    """One net. All methods may be called concurrently, from one event loop.

    Rules for every implementation
    - Each job MUST reach a terminal status, whatever dies: app, client, server, this process. The status, once
      terminal, MUST NOT change.
    - Only the sites of `spec.trusts` may receive anything of a job. The FL server MUST enforce this itself: neither
      the app nor a client is trusted with it.
    - A site is known by its credential. Metrics and failures MUST be reported under the name registered for the
      credential by which they came.
    - A job in which some round had a failure and fewer good replies than `spec.min_sites` MUST end FAILED, whatever
      the framework calls it.
    - Text raised or printed by an app at a site MUST NOT be stored or sent anywhere by the net; a code and a
      digest may.
    - Nothing may be installed or fetched from elsewhere while a job is submitted or runs.
    - The records of jobs MUST survive a restart of this process.
    """

    @abstractmethod
    async def start(self) -> None:
        """Starts the net and sets the record straight.

        MUST, before returning, account for every job that was not terminal when this process ended: go on with
        those that still run or wait, and give the others the terminal status they have earned, with the reason.
        """

    @abstractmethod
    async def close(self) -> None:
        """Ends every process this backend started. Jobs keep their records; `start` deals with them."""

    @abstractmethod
    async def submit(self, spec: JobSpec, app: Path) -> tuple[JobState, bool]:
        """Takes a job; `app` is a zip that the caller deletes afterwards. Returns its state and whether it is new.

        MUST check everything that can be checked (digest, layout, declared run-config keys and their types, known
        sites) before anything is started. MUST be idempotent: the same `spec.job_id` with the same content starts
        one job, also when an earlier call was cut off.

        Raises:
            JobRefusedError: the app or the spec is at fault.
            JobConflictError: this job id was used with other content.
        """

    @abstractmethod
    async def state(self, job_id: UUID) -> JobState:
        """Where a job stands. MUST be cheap: callers poll.

        Raises:
            UnknownJobError: no such job.
        """

    @abstractmethod
    async def logs(self, job_id: UUID, offset: int) -> JobLogs:
        """Whole lines of the FL server's side of the job, from an offset that an earlier answer gave (or 0).

        MUST mask registered secrets. Raises UnknownJobError.
        """

    @abstractmethod
    async def stop(self, job_id: UUID) -> JobState:
        """Stops a job; one that has ended is left as it is.

        When this returns, no process of the job MUST be left beside the FL server. Clients MUST be told such that
        theirs end too. Raises UnknownJobError.
        """

    @abstractmethod
    async def sites(self) -> list[SiteState]:
        """Every registered site and whether its client is connected."""

    @abstractmethod
    async def register_site(self, trust: str, public_key: str) -> SiteState:
        """Admits a site by its client's public key; a key registered before for this trust MUST stop working.

        MUST take effect without a restart, and repeating it MUST change nothing.

        Raises:
            JobRefusedError: the text is no key of a supported kind, or it belongs to another trust.
        """

    @abstractmethod
    async def remove_site(self, trust: str) -> None:
        """Shuts a site out at once. A site that is not registered is no error."""

"""How much memory the federation takes, sampled while it runs."""

from threading import Event, Thread
from types import TracebackType
from typing import Self

import psutil

from flipctl.processes import Processes

# The kernel walks every page table for this: a second apart it would take a tenth of a core.
SAMPLE_SECONDS = 3.0


class MemoryWatch:
    """Samples the memory of all descendants in a thread; a context manager."""

    def __init__(self, processes: Processes) -> None:
        self._processes, self._stop = processes, Event()
        self._thread = Thread(target=self._sample, name="memory", daemon=True)
        self.peak_bytes = self.peak_processes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, self._processes.memory_bytes())
            self.peak_processes = max(self.peak_processes, len(psutil.Process().children(recursive=True)))

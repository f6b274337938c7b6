"""PACS that misbehave, over the demo's PACS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset

from flipctl.pacs import Pacs


class DroppingPacs(Pacs):
    """Breaks its first C-MOVE off after two instances."""

    drops = 1

    def _move(self, event: Any) -> Iterator[Any]:
        for number, step in enumerate(super()._move(event)):
            yield step
            if number == 3 and self.drops:
                self.drops -= 1
                event.assoc.abort()
                return


class BoastingPacs(Pacs):
    """Says it has one instance more than it has."""

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for status, answer in super()._find(event):
            if answer is not None:
                answer.NumberOfStudyRelatedInstances += 1
            yield status, answer


class LenientPacs(Pacs):
    """Ignores what it is asked for, as a PACS does that does not know the key."""

    def _matching(self, query: Dataset) -> list[tuple[Path, Dataset]]:
        return list(self._instances()) if query.get("AccessionNumber") else super()._matching(query)

"""Where every study of every project stands: SQLite, so that a kill at any moment loses nothing."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from uuid import UUID

from flip_common.wire import StudyState
from flip_trust.imaging.schemas import MAX_REASON_CHARS, StudyImport

_TABLE = """
CREATE TABLE IF NOT EXISTS study (
    project_id TEXT NOT NULL, accession TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    images INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, accession)
) WITHOUT ROWID
"""
_COLUMNS = "accession, state, reason, images, attempts"


class Ledger:
    """One row for each study of each project. Blocking (a commit waits for the disk): call it from a thread."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_TABLE)
        if "held" not in {row[1] for row in self._db.execute("PRAGMA table_info(study)")}:
            # A ledger from before bytes were counted: what it holds counts as nothing.
            self._db.execute("ALTER TABLE study ADD COLUMN held INTEGER NOT NULL DEFAULT 0")

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._db.close()

    def add(self, project_id: UUID, studies: Iterable[tuple[str, StudyState, str]]) -> list[str]:
        """Adds (accession, state, reason) that are not there yet, all or none; returns the accessions added."""
        with self._lock, self._transaction():
            rows = [
                self._db.execute(
                    "INSERT INTO study (project_id, accession, state, reason) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING RETURNING accession",
                    (str(project_id), accession, state, reason),
                ).fetchone()
                for accession, state, reason in studies
            ]
        return [row[0] for row in rows if row]

    def studies(self, project_id: UUID) -> list[StudyImport]:
        """All studies of the project, by accession number."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM study WHERE project_id = ? ORDER BY accession",  # noqa: S608 - a constant
                (str(project_id),),
            ).fetchall()
        return [_study(row) for row in rows]

    def study(self, project_id: UUID, accession: str) -> StudyImport | None:
        """One study; None when the project does not hold it."""
        with self._lock:
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM study WHERE project_id = ? AND accession = ?",  # noqa: S608 - a constant
                (str(project_id), accession),
            ).fetchone()
        return _study(row) if row else None

    def held(self, project_id: UUID) -> int:
        """Bytes of DICOM that the project's studies take."""
        with self._lock:
            row = self._db.execute("SELECT TOTAL(held) FROM study WHERE project_id = ?", (str(project_id),)).fetchone()
        return int(row[0])

    def update(
        self,
        project_id: UUID,
        accession: str,
        state: StudyState,
        *,
        reason: str = "",
        images: int = 0,
        held: int = 0,
    ) -> bool:
        """Sets state, reason, images and bytes held; False when the project no longer holds the study."""
        with self._lock:
            cursor = self._db.execute(
                "UPDATE study SET state = ?, reason = ?, images = ?, held = ? WHERE project_id = ? AND accession = ?",
                (state, reason[:MAX_REASON_CHARS], images, held, str(project_id), accession),
            )
        return cursor.rowcount == 1

    def count_attempt(self, project_id: UUID, accession: str) -> bool:
        """Marks the study IMPORTING and counts an attempt; False when the project no longer holds it."""
        with self._lock:
            cursor = self._db.execute(
                "UPDATE study SET state = ?, attempts = attempts + 1 WHERE project_id = ? AND accession = ?",
                (StudyState.IMPORTING, str(project_id), accession),
            )
        return cursor.rowcount == 1

    def requeue(self, project_id: UUID, accessions: Iterable[str]) -> None:
        """Puts these studies back to QUEUED, all or none."""
        with self._lock, self._transaction():
            self._db.executemany(
                "UPDATE study SET state = ?, reason = '', images = 0, held = 0 WHERE project_id = ? AND accession = ?",
                [(StudyState.QUEUED, str(project_id), accession) for accession in accessions],
            )

    def unfinished(self) -> list[tuple[UUID, str]]:
        """Studies QUEUED or IMPORTING: what a process that starts has to go on with."""
        with self._lock:
            rows = self._db.execute(
                "SELECT project_id, accession FROM study WHERE state IN (?, ?) ORDER BY project_id, accession",
                (StudyState.QUEUED, StudyState.IMPORTING),
            ).fetchall()
        return [(UUID(project), accession) for project, accession in rows]

    def remove(self, project_id: UUID) -> None:
        """Forgets the project."""
        with self._lock:
            self._db.execute("DELETE FROM study WHERE project_id = ?", (str(project_id),))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _study(row: tuple[str, str, str, int, int]) -> StudyImport:
    accession, state, reason, images, attempts = row
    return StudyImport(accession=accession, state=StudyState(state), reason=reason, images=images, attempts=attempts)

"""What a PACS answered, held against what it was asked."""

import re
from collections.abc import Iterable

from flip_trust.imaging.store import FoundStudy, StoreError, StoreUnavailable, StudyMissing

MAX_STUDIES = 50
_UID = re.compile(r"[0-9.]{1,64}")


def matching_studies(accession: str, answers: Iterable[tuple[str, str, str]]) -> list[FoundStudy]:
    """The studies among (accession, study UID, number of instances) that really have the accession number.

    Raises:
        StudyMissing: none has.
        StoreError: a UID is none: it becomes part of a path and of a URL.
        StoreError: absurdly many have: the PACS does not match on the accession number.
    """
    studies: dict[str, FoundStudy] = {}
    for answered, uid, count in answers:
        if answered.strip(" \0") == accession and uid:
            if not _UID.fullmatch(uid):
                raise StoreError("the PACS answered with a study UID that is none: refused")
            studies[uid] = FoundStudy(uid, int(count) if count.strip().isdecimal() else None)
    if not studies:
        raise StudyMissing("the PACS knows no study with this accession number")
    if len(studies) > MAX_STUDIES:
        raise StoreError(f"the PACS has {len(studies)} studies with this accession number, over {MAX_STUDIES}")
    return [studies[uid] for uid in sorted(studies)]


def check_complete(study: FoundStudy, received: int) -> None:
    """Compares with the number of instances the PACS said the study has, when it said one.

    Raises:
        StoreUnavailable: fewer arrived, or none.
    """
    expected = study.instances or 0
    if received < max(expected, 1):
        raise StoreUnavailable(f"{received} of the study's {expected or 'unknown number of'} instances arrived")

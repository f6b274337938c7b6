"""Answers of a PACS that is not to be trusted."""

import pytest

from flip_trust.imaging.store import FoundStudy, StoreError
from flip_trust.imaging.stores.matching import matching_studies


@pytest.mark.parametrize("uid", ["../../../projects/x", "1.2/../../instances", "1.2\\3", "1.2\n", "1" * 65])
def test_a_study_uid_that_is_a_path_is_refused(uid: str) -> None:
    with pytest.raises(StoreError, match="UID"):
        matching_studies("ACC1", [("ACC1", uid, "3")])


@pytest.mark.parametrize(("count", "instances"), [("3 ", 3), ("", None), ("-1", None), ("²", None)])
def test_a_number_of_instances_that_is_none_counts_as_unsaid(count: str, instances: int | None) -> None:
    assert matching_studies("ACC1", [("ACC1 ", "1.2.3", count)]) == [FoundStudy("1.2.3", instances)]

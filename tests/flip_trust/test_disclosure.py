"""The disclosure rule: suppression, rounding, histograms that cannot be subtracted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flip_common.wire import ColumnStatistics
from flip_trust.disclosure import MAX_BINS, OTHER, Disclosure

RULE = Disclosure()
rules = st.integers(1, 50).flatmap(lambda t: st.builds(Disclosure, st.just(t), st.integers(1, t)))
disjoint = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 400), max_size=12)


def bins_of(statistics: ColumnStatistics) -> dict[str, int]:
    return {item.label: item.count for item in statistics.bins}


@pytest.mark.parametrize(
    ("n", "value"), [(0, None), (1, None), (9, None), (10, 10), (14, 10), (15, 20), (24, 20), (25, 30), (1004, 1000)]
)
def test_count(n: int, value: int | None) -> None:
    count = RULE.count(n)
    assert count.value == value
    assert count.suppressed == (value is None)
    assert (count.threshold, count.rounding) == (10, 10)


def test_zero_looks_like_few() -> None:
    assert RULE.count(0) == RULE.count(9)


@pytest.mark.parametrize(("threshold", "rounding"), [(0, 1), (1, 0), (-5, 5), (5, 10)])
def test_unsound_rules_are_refused(threshold: int, rounding: int) -> None:
    with pytest.raises(ValueError, match=r"threshold|rounding"):
        Disclosure(threshold, rounding)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        RULE.count(-1)
    with pytest.raises(ValueError, match="bin 'a' of column 'x'"):
        RULE.histogram("x", "categorical", [("a", -1)])


@settings(deadline=None)
@given(rules, st.integers(0, 10_000))
def test_a_disclosed_count_is_close_and_never_zero(rule: Disclosure, n: int) -> None:
    count = rule.count(n)
    if n < rule.threshold:
        assert count.suppressed
    else:
        assert count.value
        assert abs(count.value - n) * 2 <= rule.rounding


def test_small_bins_are_merged() -> None:
    shown = RULE.histogram("x", "categorical", [("a", 100), ("b", 7), ("c", 6)])
    assert bins_of(shown) == {"a": 100, OTHER: 10}


def test_a_small_other_is_not_shown() -> None:
    shown = RULE.histogram("x", "categorical", [("a", 104), ("b", 3)])
    assert bins_of(shown) == {"a": 110}, "the three are counted with the largest bin: 107"


def test_bins_that_overlap_are_not_added_up() -> None:
    # One person with twelve rare diagnoses is one person, and is in bin a already.
    assert bins_of(RULE.histogram("x", "categorical", [("a", 54)], merged=1, unseen=0)) == {"a": 50}
    assert bins_of(RULE.histogram("x", "categorical", [("a", 54)], merged=1, unseen=1)) == {"a": 60}


def test_more_unseen_than_merged_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 subjects unseen of 1"):
        RULE.histogram("x", "categorical", [], merged=1, unseen=2)


def test_a_category_called_other_is_merged_with_ours() -> None:
    shown = RULE.histogram("x", "categorical", [("a", 50), (OTHER, 20), ("b", 5)])
    assert bins_of(shown) == {"a": 50, OTHER: 30}


def test_many_bins_and_long_labels_fit_the_wire() -> None:
    many = [(f"{i:03d}" + "x" * 500, 20) for i in range(200)]
    shown = RULE.histogram("y" * 500, "categorical", many, merged=30)
    assert len(shown.bins) <= MAX_BINS
    assert shown.bins[-1].label == OTHER


@settings(deadline=None)
@given(rules, disjoint)
def test_few_people_in_small_bins_look_like_nobody(rule: Disclosure, bins: dict[str, int]) -> None:
    """What is shown is exactly what is shown when those people are in the largest bin and the small ones are empty."""
    small = {label: n for label, n in bins.items() if n < rule.threshold}
    shown = rule.histogram("x", "categorical", bins.items())
    for item in shown.bins:
        assert item.count % rule.rounding == 0
        assert item.label == OTHER or bins[item.label] >= rule.threshold
    if len(small) < len(bins) and sum(small.values()) < rule.threshold:
        moved = {label: 0 if label in small else n for label, n in bins.items()}
        moved[min(moved, key=lambda label: (-moved[label], label))] += sum(small.values())
        assert rule.histogram("x", "categorical", moved.items()) == shown


@settings(deadline=None)
@given(rules, disjoint, st.integers(0, 60))
def test_other_holds_at_least_the_threshold(rule: Disclosure, bins: dict[str, int], other: int) -> None:
    total = sum(bins.values()) + other
    shown = bins_of(rule.histogram("x", "date", bins.items(), merged=other))
    if OTHER in shown:
        hidden = total - sum(n for label, n in bins.items() if label in shown)
        assert hidden >= rule.threshold


@settings(deadline=None)
@given(disjoint, st.sampled_from("abcdefgh"))
def test_one_more_person_changes_a_count_by_one_step_at_most(bins: dict[str, int], label: str) -> None:
    with_one = {**bins, label: bins.get(label, 0) + 1}
    before, after = RULE.count(sum(bins.values())).value or 0, RULE.count(sum(with_one.values())).value or 0
    assert after - before in (0, 10)

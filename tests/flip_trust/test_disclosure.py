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
        RULE.histogram("x", "categorical", [("a", -1)], total=0)


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
    shown = RULE.histogram("x", "categorical", [("a", 100), ("b", 7), ("c", 6)], total=113)
    assert bins_of(shown) == {"a": 100, OTHER: 10}


def test_a_small_other_is_not_shown() -> None:
    shown = RULE.histogram("x", "categorical", [("a", 100), ("b", 3)], total=103)
    assert bins_of(shown) == {"a": 100}


def test_a_hidden_bin_that_subtraction_would_prove_takes_another_with_it() -> None:
    # 104 + 204 + 3: shown as 100 and 200, they stand for at most 104 and 204; a known total of 311 would prove three.
    shown = RULE.histogram("x", "categorical", [("a", 204), ("b", 104), ("c", 3)], total=311)
    assert bins_of(shown) == {"a": 200, OTHER: 110}


def test_bins_that_overlap_are_not_added_up() -> None:
    # One person with twelve rare diagnoses is one person.
    rare = [(f"d{i}", 1) for i in range(12)]
    assert bins_of(RULE.histogram("x", "categorical", [("a", 50), *rare], total=50)) == {"a": 50}


def test_a_category_called_other_is_merged_with_ours() -> None:
    shown = RULE.histogram("x", "categorical", [("a", 50), (OTHER, 20), ("b", 5)], total=75)
    assert bins_of(shown) == {"a": 50, OTHER: 30}


def test_many_bins_and_long_labels_fit_the_wire() -> None:
    many = [(f"{i:03d}" + "x" * 500, 20) for i in range(200)]
    shown = RULE.histogram("y" * 500, "categorical", many, total=4000, other=30)
    assert len(shown.bins) <= MAX_BINS
    assert shown.bins[-1].label == OTHER


@settings(deadline=None)
@given(rules, disjoint)
def test_nobody_in_a_small_bin_can_be_proven(rule: Disclosure, bins: dict[str, int]) -> None:
    """Even who knows the exact total and reverses the rounding cannot tell that a hidden bin holds somebody."""
    total = sum(bins.values())
    shown = bins_of(rule.histogram("x", "categorical", bins.items(), total=total))
    for label, count in shown.items():
        assert count % rule.rounding == 0
        assert label == OTHER or bins[label] >= rule.threshold
    if shown and OTHER not in shown:
        most = sum(count + (rule.rounding - 1) // 2 for count in shown.values())
        hidden = total - sum(bins[label] for label in shown)
        assert hidden == 0 or total <= most


@settings(deadline=None)
@given(rules, disjoint, st.integers(0, 60))
def test_other_holds_at_least_the_threshold(rule: Disclosure, bins: dict[str, int], other: int) -> None:
    total = sum(bins.values()) + other
    shown = bins_of(rule.histogram("x", "date", bins.items(), total=total, other=other))
    if OTHER in shown:
        hidden = total - sum(n for label, n in bins.items() if label in shown)
        assert hidden >= rule.threshold


@settings(deadline=None)
@given(disjoint, st.sampled_from("abcdefgh"))
def test_one_more_person_changes_a_count_by_one_step_at_most(bins: dict[str, int], label: str) -> None:
    with_one = {**bins, label: bins.get(label, 0) + 1}
    before, after = RULE.count(sum(bins.values())).value or 0, RULE.count(sum(with_one.values())).value or 0
    assert after - before in (0, 10)

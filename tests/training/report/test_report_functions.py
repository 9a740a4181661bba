"""The small functions of the report, each against a plain definition."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from separable.analysis.page.wording import amount, count_of, duration, listed, milliseconds, percent, wilson_interval
from separable.training.report.confidence import coverage_curve
from separable.training.report.learning import thinned
from separable.training.report.record import Predicted


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (177, 200), (1, 3), (9873, 10000)])
def test_wilson_interval_agrees_with_scipy(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_seen_leaves_everything_possible() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.885, "88.5%"), (1.0, "100%"), (0.0, "0%"), (0.99999, ">99.9%"), (0.0001, "<0.1%"), (math.nan, "\N{EN DASH}")],
)
def test_percent(value: float, expected: str) -> None:
    assert percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.04, "0.0 s"), (8.44, "8.4 s"), (59.7, "1 min 0 s"), (161, "2 min 41 s"), (4321, "1 h 12 min"),
     (200_000, "2 d 7 h"), (math.nan, "\N{EN DASH}")],
)  # fmt: skip
def test_duration(value: float, expected: str) -> None:
    assert duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4567, "0.457 ms"), (23.46, "23.5 ms"), (999.4, "999 ms"), (2580, "2.6 s"), (95e3, "1 min 35 s")],
)
def test_milliseconds(value: float, expected: str) -> None:
    assert milliseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(22_910_480, "22.9 M"), (8.357e9, "8.36 G"), (832_101, "832 k"), (999_999, "1.00 M"), (17, "17"), (0, "0")],
)
def test_amount(value: float, expected: str) -> None:
    assert amount(value) == expected


def test_counting_words() -> None:
    assert [count_of(n, "picture") for n in (0, 1, 1200)] == ["0 pictures", "1 picture", "1,200 pictures"]
    assert [listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.3, 0.5, 0.9, math.nan]), st.booleans()), max_size=40))
def test_coverage_curve_is_what_each_threshold_gives(answers: list[tuple[float, bool]]) -> None:
    known = [(c, r) for c, r in answers if c == c]
    expected = []
    for threshold in sorted({c for c, _ in known}, reverse=True):
        kept = [r for c, r in known if c >= threshold]
        expected.append((len(kept) / len(known), sum(kept) / len(kept)))
    curve = coverage_curve([Predicted("", "", "", c, r) for c, r in answers])
    assert len(curve) == len(expected)
    assert all(point == pytest.approx(other) for point, other in zip(curve, expected, strict=True))


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=300), st.integers(1, 50))
def test_thinned_points_are_means_of_equal_stretches(values: list[float], most: int) -> None:
    points = [(float(x), y) for x, y in enumerate(values)]
    thin = thinned(points, most)
    assert len(thin) == min(len(points), most)
    assert thin == sorted(thin)
    lengths = [round((i + 1) * len(points) / len(thin)) - round(i * len(points) / len(thin)) for i in range(len(thin))]
    total = sum(y * n for (_, y), n in zip(thin, lengths, strict=True))
    assert total == pytest.approx(sum(values), abs=1e-6 * max(1.0, *map(abs, values)) * len(values))

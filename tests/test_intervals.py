"""What an interval shows, what it decides, and what it leaves open."""

import math

import pytest

from experiments.kit.intervals import (
    above,
    below,
    crossed,
    difference,
    earlier,
    inside,
    is_one,
    larger,
    no_loss,
    recorded,
    same_place,
    show,
)
from minuddm.probes import Interval

INF = math.inf
NEAR, UNKNOWN = Interval(20, 15, 30), Interval(*[math.nan] * 3)


def test_crossings_are_shown_with_their_intervals():
    assert show(Interval(57.3, 53.5, 62.9)) == "57 (54 to 63)"
    assert show(Interval(57.3, 53.5, INF)) == "57 (54 to beyond)"
    assert show(Interval(4.0, 4.0, 5.0), least=4) == "4 or below"
    assert show(recorded({"value": None, "low": "inf", "high": "inf"})) == "none of those measured"
    assert show(Interval(INF, 64, INF)) == "none of those measured"
    assert [crossed(Interval(x, 0, 9), 4) for x in (math.nan, 4, 5)] == [False, None, True]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Interval(10, 8, 16), NEAR, True),
        (Interval(10, 8, 16), Interval(40, 20, 80), False),
        (Interval(20, 10, 50), NEAR, None),  # spans more than a factor of four
        (Interval(20, 10, INF), NEAR, None),
        (UNKNOWN, NEAR, None),
    ],
)
def test_crossings_at_one_place(one, other, same):
    assert same_place(one, other) is same
    assert same_place(other, one) is same


def test_one_crossing_before_another():
    late = Interval(50, 40, INF)
    pairs = ((NEAR, late), (late, NEAR), (NEAR, NEAR), (UNKNOWN, NEAR))
    assert [earlier(*pair) for pair in pairs] == [True, False, None, None]


def test_a_power_that_is_one():
    powers = ((1.05, 0.9, 1.2), (0.8, 0.7, 0.9), (1.5, 0.1, 2.9), (0.95, math.nan, math.nan))
    assert [is_one(power) for power in powers] == [True, False, None, None]  # the last: one seed


def test_levels_and_ranges():
    assert [above(x, 0.8) for x in ((0.9, 0.85, 1), (0.7, 0.6, 0.75), (0.9, 0.7, 1), UNKNOWN)] == [
        True, False, None, None,
    ]  # fmt: skip
    assert [below(x, 1) for x in ((0, -0.5, 0.5), (2, 1.5, 2.5), (1, 0, 2))] == [True, False, None]
    ranges = [inside(x, -1, 1) for x in ((0, -0.5, 0.5), (2, 1.5, 2.5), (0, -3, 0.5), UNKNOWN)]
    assert ranges == [True, False, None, None]


def test_differences():
    assert difference((5, 4, 6), (2, 2, 2)) == Interval(3, 2, 4)
    assert difference((5, 2, 8), (2, -2, 6)) == Interval(3, -2, 8)
    assert [larger((5, 4, 6), x) for x in ((2, 1, 3), (4, 3, 5), (8, 7, 9))] == [True, None, False]


def test_a_loss_that_may_be_small_is_none():
    ends = (([0, -0.01], [0.1, 0.2]), ([0, -0.1], [0.1, 0.2]), ([0, -0.1], [0.1, -0.05]))
    assert [no_loss(*x) for x in ends] == [True, None, False]

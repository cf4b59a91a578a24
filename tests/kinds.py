"""Kinds of parameters: for each a value that is taken, and wrong ones that get one line.

A table of calls says which parameter of which public function is of which kind:
{kind: [(parameter, call with a value of it), …]}.
"""

import numpy as np
import pytest

from hopfield import Exponential, LogSumExp, LogSumReLU, Power

X, LOG_P = np.array([[0, 1, 2], [2, 1, 0]]), np.full((2, 3, 3), -np.log(3))

KINDS = {  # kind: the right value, wrong values
    "generator": (np.random.default_rng(0), [None, 0, "seed", np.random.RandomState(0)]),
    "generator or None": (None, [0, "seed", np.random.RandomState(0)]),
    "count": (2, [0, -1, 2.5, "3", None, True]),
    "site": (0, [-1, 3, 2.5, "1", None, True]),
    "power": (2, [1, 51, 2.5, "2", None, True]),
    "vocabulary": (3, [1, 0, -1, 2.5, "3", None, 2**31]),
    "fraction": (0.5, [-1e-9, 1.0, np.nan, np.inf]),
    "share": (1.0, [-1e-9, 1.1, np.nan, np.inf]),
    "chance": (0.5, [-0.1, 1.1, np.nan]),
    "positive": (1.0, [0.0, -1.0, np.nan, np.inf]),
    "not negative": (0.0, [-1e-9, np.nan, np.inf]),
    "finite": (0.5, [np.nan, np.inf, -np.inf]),
    "tokens": (X, [[[0, 1, 3]] * 2, [[-1, 0, 0]] * 2, [[0.0, 1.0, 2.0]] * 2, [0, 1, 2], [["a"]]]),
    "log_p": (
        LOG_P,
        [LOG_P * np.nan, np.full((2, 3, 3), -np.inf), np.inf - LOG_P, LOG_P[0], LOG_P > 0],
    ),
    "uniforms": (
        np.zeros((2, 3)),
        [np.ones((2, 3)), np.full((2, 3), -0.1), np.full((2, 3), np.nan), np.zeros((1, 1))],
    ),
    "sequences": ([1, 2], [[0, 1], [-1, 1], [2, 1], [1, 1], [np.nan, 1]]),
    "logarithm": (LogSumReLU(), [Power(2), "F", None, LogSumExp]),
    "separation": (Exponential(), ["F", 1, object()]),
}


def wrong(calls):
    """Return (parameter, call, value) for every wrong value of every call."""
    return [
        pytest.param(name, call, value, id=f"{kind}-{name}-{k}-{n}")
        for kind, of_kind in calls.items()
        for k, (name, call) in enumerate(of_kind)
        for n, value in enumerate(KINDS[kind][1])
    ]


def refuses(name, call, value):
    """Assert that a call answers a value with one line that names the parameter."""
    with pytest.raises((ValueError, TypeError)) as raised:
        call(value)
    line = str(raised.value)
    assert "\n" not in line
    assert name in line


def takes(calls):
    """Assert that every call takes the right value: else nothing is said by what it refuses."""
    for kind, of_kind in calls.items():
        for _, call in of_kind:
            call(KINDS[kind][0])

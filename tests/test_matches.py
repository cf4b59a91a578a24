"""The sums of the ideal memoriser: any batch, any tokens, any temperature, and where floats end."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minuddm.ideal import DatasetIdeal, matches
from minuddm.machine.one_hot_attention import one_hot_attention
from minuddm.transition import inverse_temperature
from tests import strategies

ROOT = Path(__file__).parents[1]
EXTREMES = [0.0, 1e-9, 0.5, 0.9, 1 - 1e-6, 1 - 1e-9, 1 - 1e-15, 1.0]


@st.composite
def data_sets(draw, most=40):
    """Patterns (P, L), repeated ones included, and V: bytes, two bytes, four."""
    V = draw(st.sampled_from([2, 3, 28, 255, 256, 3000, 65_536]), label="V")
    L, P = draw(st.integers(1, 13), label="L"), draw(st.integers(1, most), label="P")
    rng = np.random.default_rng(draw(strategies.seeds, label="seed"))
    patterns = rng.integers(V, size=(P, L))
    patterns[:, rng.random(L) < 0.3] %= 2  # sites at which few values occur
    if draw(st.booleans(), label="repeated"):
        patterns[: P // 2] = patterns[P - P // 2 :]
    return patterns, V, rng


def log_conditionals(patterns, V, z, beta):
    """log p_i(v), (L, V), one pattern at a time and all of it in logarithms."""
    match = patterns == z
    out = np.full((len(z), V), -np.inf)
    for row, m in zip(patterns, match, strict=True):
        for i, v in enumerate(row):
            out[i, v] = np.logaddexp(out[i, v], beta * (m.sum() - m[i]))
    return out - np.logaddexp.reduce(out, axis=1, keepdims=True)


def rounding(beta, L):
    """What both sides may be wrong by: an ulp of βL in each of their logarithms, and some."""
    return 1e-14 + 1e-15 * beta * L


@given(case=data_sets())
@settings(max_examples=60)
def test_one_query_is_many_queries_to_the_bit_on_any_number_of_threads(case):
    patterns, V, rng = case
    B, L = 9 if V > 256 else 19, patterns.shape[1]  # batches of 8 and one more; answers are long
    stored = patterns[rng.integers(len(patterns), size=B // 2)]
    z = np.concatenate([stored, rng.integers(V, size=(B - B // 2, L))])
    alpha = rng.choice(EXTREMES, B)
    ideal = DatasetIdeal(patterns, V)
    together = ideal(z, alpha)
    for size in (1, 2, 8):
        parts = [slice(k, k + size) for k in range(0, B, size)]
        apart = np.concatenate([ideal(z[part], alpha[part]) for part in parts])
        np.testing.assert_array_equal(apart, together)
    np.testing.assert_array_equal(ideal(z, alpha, threads=3), together)


@given(case=data_sets(), alpha=st.sampled_from(EXTREMES[:-1]))
@settings(max_examples=60)
def test_it_is_the_sum_over_patterns_in_logarithms_for_any_vocabulary(case, alpha):
    patterns, V, rng = case
    if V > 3000:
        V = 3000  # the sum below is slow
        patterns = patterns % V
    L = patterns.shape[1]
    z = np.where(rng.random(L) < 0.5, patterns[0], rng.integers(V, size=L))
    ideal = DatasetIdeal(patterns, V)
    beta = float(inverse_temperature(alpha, V))
    got, wanted = ideal(z[None], alpha)[0], log_conditionals(patterns, V, z, beta)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
    seen = np.isfinite(wanted)
    np.testing.assert_allclose(got[seen], wanted[seen], rtol=1e-13, atol=10 * rounding(beta, L))


@given(case=data_sets())
def test_bytes_are_as_good_as_integers(case):
    patterns, V, rng = case
    z = patterns[rng.integers(len(patterns), size=8)]
    sums = [
        matches.log_sums(
            np.ascontiguousarray(patterns.T, dtype), V, slice(0, z.shape[1]), z.astype(dtype),
            np.linspace(0, 60, 8),
        )
        for dtype in (np.min_scalar_type(V), np.uint32)
    ]  # fmt: skip
    np.testing.assert_array_equal(*sums)
    answers = [DatasetIdeal(patterns.astype(t), V)(z.astype(t), 0.7) for t in (np.int64, np.int32)]
    np.testing.assert_array_equal(*answers)


def test_a_pattern_is_kept_in_the_smallest_integer_that_holds_the_vocabulary():
    patterns = np.zeros((3, 5), np.int64)
    for V, bytes_a_token in ((2, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4)):
        ideal = DatasetIdeal(patterns, V)
        assert ideal._columns.nbytes == 15 * bytes_a_token
        assert ideal.patterns.dtype == np.int32
        assert ideal.patterns.shape == (3, 5)


@given(case=data_sets(), B=st.sampled_from([1, 8]), more=st.integers(0, 2))
def test_what_is_compiled_is_the_definition_to_the_bit(case, B, more):
    """At 1,024 patterns and a few, one block is full and one is not."""
    patterns, V, rng = case
    patterns = np.concatenate(
        [patterns] + more * [rng.permuted(np.resize(patterns, (1024, patterns.shape[1])), axis=0)]
    )
    dtype, L = np.min_scalar_type(V), patterns.shape[1]
    columns = np.ascontiguousarray(patterns.T.astype(dtype))
    z = patterns[rng.integers(len(patterns), size=B)].astype(dtype)
    weights = rng.random((B, L + 1)) * (rng.random((B, L + 1)) < 0.5)
    first = int(rng.integers(L))
    one, two = (np.empty((L - first, V, B)) for _ in range(2))
    one_hot_attention(one, columns, first, z, weights)
    matches.sums_over_patterns(two, columns, first, z, weights)
    np.testing.assert_array_equal(one, two)


@given(
    L=st.integers(2, 40),
    bands=st.integers(1, 3),
    off=st.sampled_from([-1e-9, -1e-13, 0.0, 1e-13, 1e-9]),
    seed=strategies.seeds,
)
@example(L=40, bands=1, off=0.0, seed=0)
def test_where_a_float_ends_another_band_begins_and_nothing_is_lost(L, bands, off, seed):
    """β L at a multiple of the range of a float64, a hair below and above."""
    rng = np.random.default_rng(seed)
    V, P = 4, 30
    beta = np.full(8, (1 + off) * bands * matches._NATS / L)
    beta[:] = np.minimum(beta, 37 + np.log(P))  # beyond, the next test
    patterns = rng.integers(V - 1, size=(P, L))
    patterns[1:, 0] = 0
    patterns[0, 0] = 1  # occurs once, in a pattern that matches nowhere else
    z = (patterns[0] + 1) % (V - 1)
    z[0] = 2
    near = np.tile(z, (P // 2, 1))
    near[:, 0] = 0
    patterns[P // 2 :] = np.where(rng.random((P - P // 2, L)) < 0.2, patterns[P // 2 :], near)
    columns = np.ascontiguousarray(patterns.T.astype(np.uint8))
    log_w = matches.log_sums(columns, V, slice(0, L), np.tile(z, (8, 1)).astype(np.uint8), beta)[3]
    log_w -= np.logaddexp.reduce(log_w, axis=1, keepdims=True)
    m = (patterns == z).sum(axis=1)
    wanted = np.full((L, V), -np.inf)
    for row, k in zip(patterns, m, strict=True):
        for i, v in enumerate(row):
            wanted[i, v] = np.logaddexp(wanted[i, v], beta[3] * k)
    wanted -= np.logaddexp.reduce(wanted, axis=1, keepdims=True)
    assert np.isfinite(log_w[0, 1])
    assert (log_w[:, V - 1] == -np.inf).all()
    seen = np.isfinite(wanted)
    np.testing.assert_allclose(log_w[seen], wanted[seen], rtol=1e-13, atol=1e-12)


@given(P=st.integers(1, 300), L=st.integers(1, 80), seed=strategies.seeds)
def test_beyond_all_temperatures_the_nearest_patterns_count_and_how_far_the_others_are(P, L, seed):
    """At α = 1, log p is -β times the matches that are missing, and counts decide among equals."""
    rng = np.random.default_rng(seed)
    V = 3
    patterns = rng.integers(V, size=(P, L))
    z = patterns[0].copy()
    z[: L // 4] = rng.integers(V, size=L // 4)
    got = DatasetIdeal(patterns, V)(z[None], 1.0)[0]
    wanted = log_conditionals(patterns, V, z, 1e4)
    seen = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isfinite(got), seen)
    np.testing.assert_allclose(got[seen], wanted[seen], rtol=1e-12, atol=rounding(1e4, L))


def test_a_token_that_no_pattern_can_have_matches_nothing():
    """As a masked token is: the others alone decide, and nothing is left out where it stands."""
    patterns = np.array([[0, 1, 0], [1, 1, 1], [1, 0, 1]])
    columns = np.ascontiguousarray(patterns.T.astype(np.uint8))
    beta = np.array([2.0])
    log_w = matches.log_sums(columns, 2, slice(0, 3), np.array([[2, 1, 2]], np.uint8), beta)[0]
    m = np.array([1, 1, 0])
    wanted = [[np.exp(2 * m)[patterns[:, i] == v].sum() for v in (0, 1)] for i in range(3)]
    p = np.exp(log_w) / np.exp(log_w).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, np.array(wanted) / np.exp(2 * m).sum(), rtol=1e-14)


def test_without_a_compiler_numpy_answers_the_same_to_the_bit():
    program = (
        "import numpy as np; from minuddm.ideal import DatasetIdeal;"
        "rng = np.random.default_rng(0); x = rng.integers(9, size=(50, 7));"
        "print(DatasetIdeal(x, 9)(rng.integers(9, size=(11, 7)), 0.6).tobytes().hex())"
    )
    answers = []
    for more in ({}, {"NUMBA_DISABLE_JIT": "1"}):
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            cwd=ROOT, env=os.environ | more,
        )  # fmt: skip
        answers.append(found.stdout)
        assert ("NumPy computes instead" in found.stderr) == bool(more)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("threads", [0, 1.5])
def test_threads_are_counted(threads):
    with pytest.raises((ValueError, TypeError), match="threads"):
        DatasetIdeal([[0, 1]], 2)([[0, 1]], 0.5, threads=threads)

"""The chance of one given sequence: by paths that end in it, and by samples [T31], [T32].

Estimates are compared with enumeration over 20 seeds: their mean lies within 4 standard errors,
taken from the scatter of the seeds (Student's, 19 degrees of freedom: 8e-4 a comparison).
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm import Absorbing, DatasetIdeal, Linear, LogLinear, Uniform
from minuddm.nelbo import discrete_elbo
from minuddm.probes import (
    chance_at_least,
    held_out_nelbo,
    log_weights,
    path_weights,
    sampled,
    samples_needed,
)
from minuddm.probes.extraction import _landing, from_log_weights
from tests import oracle, strategies
from tests.chains import D2
from tests.worlds import PROCESSES, WORLDS, crooked, exact

SEEDS = range(20)


def agrees(found, wanted):
    """Whether the mean over seeds of estimates (seeds, B) is what is wanted (B,), as above."""
    found = np.asarray(found)
    error = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - wanted) <= 4 * error + 1e-12).all()


# ---- estimates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("N", [1, 2, 5])
@pytest.mark.parametrize("world", WORLDS)
def test_weights_of_paths_and_both_shares_of_samples_estimate_the_exact_chance(world, N):
    """[T31], at α = 1 - k/N and on the log-linear schedule, which starts above α = 0."""
    denoiser, process, z = WORLDS[world]
    V, L = process.V, z.shape[1]
    for schedule in (Linear(), LogLinear(0.2)):
        wanted = exact(denoiser, process, L, N, schedule)[tuple(z.T)]
        asked = denoiser, z, V, schedule, N
        weights = [
            path_weights(*asked, np.random.default_rng(s), draws=25, process=process).chance
            for s in SEEDS
        ]
        agrees(weights, wanted)
        samples = [sampled(*asked, np.random.default_rng(s), n=50, process=process) for s in SEEDS]
        agrees([found.hits.chance for found in samples], wanted)
        agrees([found.last_step.chance for found in samples], wanted)


def moments(denoiser, process, z, N):
    """By enumeration: p_z, and the variances of one hit, of one last step, of one weight."""
    L, x = len(z), oracle.states(process.states, len(z))
    p = square = last = (x == z).all(axis=1).astype(float)
    clean = np.broadcast_to(np.eye(process.V)[z], (len(x), L, process.V))
    for k in range(1, N + 1):  # from the last step back to noise
        alpha_t, alpha_s = 1 - k / N, 1 - (k - 1) / N
        plug = np.exp(denoiser(x, np.full(len(x), alpha_t)))
        forwards, true = (
            np.prod([process.bridge(x, q, alpha_s, alpha_t)[:, i][:, x[:, i]] for i in range(L)], 0)
            for q in (plug, clean)
        )
        ratio = np.divide(forwards**2, true, out=np.zeros_like(true), where=true > 0)
        square, p = ratio @ square, forwards @ p
        last = p**2 if k == 1 else forwards @ last
    noise = process.propagate(np.full(process.V, 1 / process.V), 0.0)[x].prod(axis=1)
    chance = noise @ p
    return chance, chance * (1 - chance), noise @ last - chance**2, noise @ square - chance**2


def test_the_known_variances_of_the_three_estimates():
    """[T34], on D2: (2, 0, 1). Of a weight 2545 at N = 64, to the digits given."""
    ideal, process = DatasetIdeal(D2, 3), Uniform(3)
    p, hit, last, weight = moments(ideal, process, D2[0], 4)
    assert p == pytest.approx(0.207434, abs=1e-6)
    assert (hit, last) == (pytest.approx(0.1644, abs=5e-5), pytest.approx(0.0937, abs=5e-5))
    assert weight == pytest.approx(0.0066, abs=5e-5)
    assert moments(ideal, process, D2[0], 64)[3] == pytest.approx(2545, abs=0.5)


@given(seed=strategies.seeds, N=st.integers(1, 4), masked=st.booleans())
def test_the_last_step_taken_exactly_never_has_the_larger_variance(seed, N, masked):
    process = Absorbing(2) if masked else Uniform(2)
    rng = np.random.default_rng(seed)
    z = rng.integers(2, size=2)
    _, hit, last, _ = moments(crooked(process, 2, seed), process, z, N)
    assert -1e-12 <= last <= hit + 1e-12


@pytest.mark.parametrize("name", ["D2, uniform", "D2, masked"])
def test_standard_errors_are_those_of_the_variance_by_enumeration(name):
    """Of error² n over 20 seeds: its mean against the variance. Weights of crooked denoisers
    have tails too heavy for it."""
    denoiser, process, z = WORLDS[name]
    z, N = z[:1], 4
    _, hit, last, weight = moments(denoiser, process, z[0], N)
    found = []
    for s in SEEDS:
        asked = denoiser, z, process.V, Linear(), N, np.random.default_rng(s)
        samples = sampled(*asked, n=200, process=process)
        paths = path_weights(*asked, draws=200, process=process)
        found.append([e.error[0] ** 2 * 200 for e in (*samples, paths)])
    agrees(found, [hit, last, weight])


def test_one_draw_has_no_standard_error():
    asked = DatasetIdeal(D2, 3), D2, 3, Linear(), 2, np.random.default_rng(0)
    assert np.isnan(path_weights(*asked, draws=1).error).all()
    assert np.isnan(sampled(*asked, n=1).hits.error).all()


def test_weights_that_underflow_keep_their_mean_and_paths_without_a_chance_have_none():
    chance, error = from_log_weights([[-600.0, -600.0], [-np.inf, -np.inf]])
    assert chance[0] == pytest.approx(math.exp(-600), rel=1e-9)
    assert chance[1] == error[0] == error[1] == 0


# ---- near copies, and known tokens ---------------------------------------------------------------


@pytest.mark.parametrize("within", [0.0, 1 / 3, 2 / 3, 1.0])
def test_near_copies_are_counted_by_their_distance(within):
    """Against the exact law, summed over all sequences in the ball."""
    x, misses = oracle.states(3, 3), round(3 * within)
    for process in PROCESSES:
        ideal = DatasetIdeal(D2, 3, process)
        law = exact(ideal, process, 3, 3).ravel()
        wanted = [law[(x != z).sum(axis=1) <= misses].sum() for z in D2]
        found = [
            sampled(ideal, D2, 3, Linear(), 3, np.random.default_rng(s), 100, within, process)
            for s in SEEDS
        ]
        agrees([f.hits.chance for f in found], wanted)
        agrees([f.last_step.chance for f in found], wanted)


@given(seed=strategies.seeds, L=st.integers(1, 5), V=st.integers(2, 3), misses=st.integers(0, 5))
def test_the_chance_of_few_differences_is_the_sum_over_all_sequences_with_few(seed, L, V, misses):
    rng, misses = np.random.default_rng(seed), min(misses, L)
    q, z = rng.dirichlet(np.ones(V), (2, L)), rng.integers(V, size=(3, L))
    fixed = rng.random(L) < 0.3
    own = np.where(fixed[:, None], np.eye(V)[z[0]], q)
    x = oracle.states(V, L)
    near = (x[:, None] != z).sum(axis=2) <= misses
    for laws, mask in ((q, None), (own, fixed)):
        each = np.array([law[np.arange(L), x].prod(axis=1) for law in laws])
        found = _landing(q, z[:1] if mask is not None else z, mask, misses)
        wanted = each @ (near[:, :1] if mask is not None else near)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize(
    "known", [[True, False, False], [True, False, True]], ids=["prefix", "infilling"]
)
def test_the_chance_given_known_tokens_is_that_of_the_prompted_chain(known):
    z = D2[2:]  # (1, 0, 1) and (1, 0, 2) share a prefix
    for process in PROCESSES:
        ideal = DatasetIdeal(D2, 3, process)
        wanted = [exact(ideal, process, 3, 4, known=known, prompt=one)[tuple(one)] for one in z]
        asked = ideal, z, 3, Linear(), 4
        found = [
            sampled(*asked, np.random.default_rng(s), n=50, process=process, known=known)
            for s in SEEDS
        ]
        agrees([f.hits.chance for f in found], wanted)
        agrees([f.last_step.chance for f in found], wanted)
        if process == Absorbing(3):  # no corrector there, and paths need none
            paths = [
                path_weights(*asked, np.random.default_rng(s), 50, process, known=known).chance
                for s in SEEDS
            ]
            agrees(paths, wanted)


# ---- [T32]: the bound ----------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES)
def test_the_mean_logarithm_of_weights_is_the_discrete_bound_and_below_the_chance(process):
    """[T32]; at N = 1 they are equal: all weights are the product of the marginals."""
    ideal, rng = DatasetIdeal(D2, 3, process), np.random.default_rng(0)
    law = oracle.dataset_law(D2, 3).reshape(3, 3, 3)
    for N in (1, 2, 8):
        log_w = log_weights(ideal, D2, 3, Linear(), N, rng, 500, process)
        each = log_w.mean(axis=0)  # the mean over the law, of 500 independent draws
        error = each.std(ddof=1) / math.sqrt(len(each))
        bound = discrete_elbo(ideal, law, Linear(), N, process)
        assert abs(-each.mean() - bound) <= 4 * error + 1e-9
        p = exact(ideal, process, 3, N)[tuple(D2.T)]
        below = log_w.std(axis=1, ddof=1) / math.sqrt(log_w.shape[1])
        assert (log_w.mean(axis=1) <= np.log(p) + 4 * below + 1e-9).all()
        if N == 1:
            np.testing.assert_allclose(log_w, np.log(p)[:, None] * np.ones(500), atol=1e-9)


def test_with_few_steps_a_perfect_memory_is_above_its_chance():
    """[T32] on D2, z = 201 at N = 4: bound 1.653, -log p 1.573; equal as N → ∞ alone."""
    ideal, process = DatasetIdeal(D2, 3), Uniform(3)
    log_w = log_weights(ideal, D2[:1], 3, Linear(), 4, np.random.default_rng(0), 20_000, process)
    error = log_w.std(ddof=1) / math.sqrt(log_w.size)
    assert abs(-log_w.mean() - 1.653) <= 4 * error + 5e-4
    assert -math.log(exact(ideal, process, 3, 4)[tuple(D2[0])]) == pytest.approx(1.573, abs=5e-4)


@pytest.mark.parametrize("process", PROCESSES)
def test_many_steps_extract_with_no_less_than_the_bound_promises(process):
    """[T32]: exp(-L nelbo), 1/P for a perfect memory, of which the bound is tight."""
    ideal = DatasetIdeal(D2, 3, process)
    many, rng = np.repeat(D2, 400, axis=0), np.random.default_rng(1)
    bound = held_out_nelbo(ideal, many, 3, Linear(), rng, process=process).reshape(4, -1)
    error = bound.std(axis=1) / math.sqrt(400)
    low, high = (chance_at_least(bound.mean(axis=1) + k * error, 3) for k in (4, -4))
    assert (low <= 0.25).all()
    assert (high >= 0.25).all()
    assert (low <= exact(ideal, process, 3, 256)[tuple(D2.T)] + 1e-3).all()


# ---- what it takes -------------------------------------------------------------------------------


@given(chance=st.floats(1e-6, 1 - 1e-6), p=st.floats(0.01, 0.99))
def test_the_number_of_samples_is_the_least_that_discovers(chance, p):
    n = float(samples_needed(chance, p))
    assert n >= 1
    assert -math.expm1(n * math.log1p(-chance)) >= p - 1e-9
    if n > 1:
        assert -math.expm1((n - 1) * math.log1p(-chance)) < p + 1e-9


def test_the_number_of_samples_at_the_ends():
    np.testing.assert_array_equal(
        samples_needed([0, 1e-310, 1, 0.5, 1 / 16]), [np.inf] * 2 + [1, 1, 11]
    )
    assert samples_needed(1e-20) == pytest.approx(math.log(2) * 1e20)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: samples_needed(1.5), r"chance must hold numbers in \[0, 1\]"),
        (lambda: samples_needed(0.5, 1.0), r"p must lie in \(0, 1\), got 1.0"),
    ],
)
def test_what_cannot_be_gets_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()

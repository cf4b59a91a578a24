"""What a chain generates, by enumeration: its law, the chance of one sequence against its steps.

[T33], [T34], [T36].
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minuddm import Absorbing, DatasetIdeal, Linear, LogLinear, Uniform, posterior
from minuddm.ideal import MarkovIdeal
from minuddm.probes import even_grid, generated_law, recovery
from minuddm.reverse import time_grid
from tests import chains, oracle, strategies
from tests.chains import D2
from tests.test_theory_masked import of_law, uniform_of_law
from tests.worlds import D1, PROCESSES, WORLDS, exact

# ---- by enumeration -----------------------------------------------------------------------------


@pytest.mark.parametrize("N", [1, 3, 8])
def test_the_law_of_a_chain_is_noise_times_the_matrices_of_its_steps(N):
    """Against the matrices of `tests/chains.py`, on the even grid and on one that ends at 1e-5."""
    for world in (chains.UNIFORM, chains.MASKED, *chains.MARKOV):
        for grid, schedule in ((even_grid, Linear()), (time_grid, LogLinear())):
            alphas = [*schedule.alpha(grid(1.0, N)), 1.0]
            law = chains.last_law(world, alphas, world.bridge)
            clean = (world.states < 3).all(axis=1)
            found = exact(world.denoiser, world.process, 3, N, schedule, grid=grid)
            np.testing.assert_allclose(found.ravel(), law[clean], atol=1e-12)


@pytest.mark.parametrize("N", [4, 16])
def test_the_law_given_a_prefix_has_the_heat_bath_that_generating_has(N):
    known, prompt = np.array([True, False, False]), [1, 0, 0]
    for world, bath in ((chains.UNIFORM, True), (chains.MASKED, False)):
        wanted = chains.prompted(world, chains.even(N), corrected=bath)
        clean = (world.states < 3).all(axis=1)
        law = exact(world.denoiser, world.process, 3, N, known=known, prompt=prompt)
        np.testing.assert_allclose(law.ravel(), wanted[clean], atol=1e-12)
    everything = exact(world.denoiser, world.process, 3, N, known=True, prompt=D2[0])
    assert everything[tuple(D2[0])] == 1


def test_one_step_generates_the_product_of_the_marginals():
    """[T33]."""
    for process in PROCESSES:
        law = exact(DatasetIdeal(D2, 3, process), process, 3, 1)
        marginals = [np.bincount(column, minlength=3) / 4 for column in D2.T]
        wanted = np.einsum("a,b,c->abc", *marginals)
        np.testing.assert_allclose(law, wanted, atol=1e-12)


def test_tokens_revealed_one_at_a_time_have_the_law_in_every_order():
    """[T33]: Π p(z_i | revealed before) of the masked process is the chain rule."""
    for ideal, wanted in (
        (DatasetIdeal(D2, 3, Absorbing(3)), np.full(4, 0.25)),
        (MarkovIdeal(chains.CHAIN, Absorbing(3)), np.exp(chains.CHAIN.log_prob(D2))),
    ):
        for order in itertools.permutations(range(3)):
            z, log_p = np.full(D2.shape, 3), 0.0
            for i in order:
                log_p = log_p + ideal(z, 0.5)[np.arange(4), i, D2[:, i]]
                z[:, i] = D2[:, i]
            np.testing.assert_allclose(np.exp(log_p), wanted, rtol=1e-9)


# ---- [T34]: more steps ---------------------------------------------------------------------------


def test_more_steps_may_lower_the_chance_of_a_stored_sequence_in_either_process():
    """[T34] on D1: the law of a chain sums to one, so what rises elsewhere falls here."""
    for process, wanted in (
        (Uniform(2), (0.444444, 0.412534, 0.366691, 0.339994)),
        (Absorbing(2), (0.444444, 0.388889, 0.347222, 0.335069)),
    ):
        ideal = DatasetIdeal(D1, 2, process)
        for N, chance in zip((1, 2, 8, 64), wanted, strict=True):
            assert exact(ideal, process, 2, N)[0, 0] == pytest.approx(chance, abs=1e-6)


def more_context_never_hurts(law, z):
    """Whether p(z_i | z_S) ≤ p(z_i | z_T) for all i and S ⊂ T without i."""
    L = law.ndim

    def chance(positions):
        return law[tuple(z[j] if j in positions else slice(None) for j in range(L))].sum()

    for i in range(L):
        others = [j for j in range(L) if j != i]
        sets = [set(S) for r in range(L) for S in itertools.combinations(others, r)]
        p = [chance(S | {i}) / chance(S) for S in sets]
        pairs = itertools.product(range(len(sets)), repeat=2)
        if any(sets[a] < sets[b] and p[b] < p[a] - 1e-12 for a, b in pairs):
            return False
    return True


@settings(max_examples=30)
@given(seed=strategies.seeds, size=st.sampled_from([(2, 2), (2, 3), (3, 2)]))
def test_if_more_context_never_hurts_more_steps_extract_more_often_from_masks(seed, size):
    """[T34]: grids of N = 1, 2, 4, 8, and of 3, 6, in which intervals are halved."""
    V, L = size
    law = np.random.default_rng(seed).dirichlet(np.full(V**L, 0.5)).reshape((V,) * L)
    stored = [z for z in np.ndindex(law.shape) if law[z] > 0 and more_context_never_hurts(law, z)]
    ideal, process = of_law(law), Absorbing(V)
    for numbers in ((1, 2, 4, 8), (3, 6)):
        chances = [exact(ideal, process, L, N) for N in numbers]
        for z in stored:
            assert (np.diff([chance[z] for chance in chances]) >= -1e-12).all()


def test_if_more_context_never_hurts_more_steps_may_still_extract_less_often_from_noise():
    """[T34]: a law over 3² states, z = (0, 0)."""
    law = np.array([[19, 3, 23], [21, 3, 2], [2, 25, 2]]) / 100
    assert more_context_never_hurts(law, (0, 0))
    uniform, masked = (
        [exact(ideal, process, 2, N)[0, 0] for N in (1, 4, 16, 64)]
        for ideal, process in (
            (uniform_of_law(law), Uniform(3)), (of_law(law), Absorbing(3))
        )
    )  # fmt: skip
    np.testing.assert_allclose(uniform, [0.189, 0.196042, 0.193194, 0.190941], atol=1e-6)
    np.testing.assert_allclose(masked, [0.189, 0.18975, 0.189938, 0.189984], atol=1e-6)


# ---- [T36] ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "whole", "recovered", "unstable"),
    [(0.5, 0.477605, 0.509447, 0.204269), (0.75, 0.718132, 0.538742, 0.090553)],
)
def test_what_an_exact_denoiser_restores_follows_from_its_posterior(
    alpha, whole, recovered, unstable
):
    """[T36], on D2: closed forms, and the chain of 512 steps from α by its matrices, near them."""
    ideal, x = DatasetIdeal(D2, 3), oracle.states(3, 3)
    forwards = np.array([oracle.evidence(x, z, 3, alpha).prod(axis=1) for z in D2]) / 4
    of = np.exp(posterior(ideal(x, np.full(27, alpha)), x, alpha))
    joint = forwards / forwards.sum(axis=0)  # P(pattern | x_t)
    assert (forwards * joint).sum() == pytest.approx(whole, abs=1e-6)
    back = np.eye(27)
    for k in range(512, 0, -1):
        a_t, a_s = (1 - (1 - alpha) * j / 512 for j in (k, k - 1))
        back = back @ chains.UNIFORM.bridge(a_s, a_t)
    n = len(D2)
    came = np.zeros(3)
    formula = np.zeros(2)
    for mu, z in enumerate(D2):
        for s, xt in enumerate(x):
            changed = xt != z
            right = of[s, np.arange(3), z]
            sums = [right[changed].mean() if changed.any() else np.nan,
                    1 - right[~changed].mean() if (~changed).any() else np.nan]  # fmt: skip
            formula += forwards[mu, s] * np.nan_to_num(sums)
            r = recovery(np.repeat(z[None], 27, 0), np.repeat(xt[None], 27, 0), x)
            for j, values in enumerate((r.recovery, r.unstable, r.exact)):
                came[j] += forwards[mu, s] * back[s] @ np.nan_to_num(values.astype(float))
    any_changed = sum(forwards[mu] @ (x != z).any(axis=1) for mu, z in enumerate(D2))
    any_kept = sum(forwards[mu] @ (x == z).any(axis=1) for mu, z in enumerate(D2))
    assert n == 4
    assert formula[0] / any_changed == pytest.approx(recovered, abs=1e-6)
    assert formula[1] / any_kept == pytest.approx(unstable, abs=1e-6)
    near = [recovered, unstable, whole]
    np.testing.assert_allclose(came / [any_changed, any_kept, 1], near, atol=3e-3)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generated_law(WORLDS["D2, uniform"][0], 9, 3, Linear(), 2), "4,096 states"),
        (
            lambda: generated_law(WORLDS["D2, uniform"][0], 3, 3, Linear(), 2, known=True),
            "known tokens need a prompt",
        ),
        (lambda: even_grid(0.0, 3), r"t must lie in \(0, 1\], got 0.0"),
    ],
)
def test_what_cannot_be_gets_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()

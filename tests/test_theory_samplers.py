"""Laws of samplers that `minuddm/THEORY.md` derives, with its numbers, by enumeration."""

import math
from functools import partial

import numpy as np
import pytest

from experiments.kit.chains import World
from minuddm import posterior
from minuddm.reverse import quadratic_grid, time_grid
from minuddm.samplers import barker, metropolis, tau_leap_law
from tests.chains import (
    LAW,
    MARKOV,
    MASKED,
    UNIFORM,
    clean_law,
    distance,
    distance_to_clean,
    even,
    last_law,
    law_at,
    prompted,
)

BALANCED = (barker, np.sqrt, metropolis)


# ---- correctors leave p_t as it is ---------------------------------------------------------------


def balanced(law, matrix):
    flow = law[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.4, 0.95])
@pytest.mark.parametrize("world", [UNIFORM, MASKED, *MARKOV])
def test_a_heat_bath_of_one_site_and_balanced_jumps_are_reversible(world, alpha):
    """[T43]; r is a ratio of p_t [T12], p_t summed over all clean sequences."""
    law = law_at(world, alpha, clean_law(world))
    balanced(law, world.heat_bath(alpha))
    for g in BALANCED:
        balanced(law, world.generator(alpha, g))
    balanced(law, World.heat_bath(world, alpha, held=(1,)))


def test_unbalanced_jumps_all_sites_at_once_or_a_site_that_looks_move_the_law():
    """[T43], with the numbers: D2 at α = .4."""
    law = law_at(UNIFORM, 0.4, LAW)
    p = UNIFORM.conditionals(0.4)
    assert distance(law @ UNIFORM.independently(p), law) == pytest.approx(0.070176, abs=1e-6)
    ordered = np.sort(p, axis=-1)
    chosen = np.round(ordered[..., -1] - ordered[..., -2], 12).argmin(axis=1)  # the first, if tied
    looks = np.stack([UNIFORM.one_site(p, i)[n] for n, i in enumerate(chosen)])
    assert distance(law @ looks, law) == pytest.approx(0.155289, abs=1e-6)
    assert np.abs(law @ UNIFORM.generator(0.4, np.square)).max() > 0.1


# ---- steps --------------------------------------------------------------------------------------


def test_the_bridge_with_a_law_plugged_in_is_the_mixture_over_the_posterior_of_bridges():
    """[T44]: q(x_s | x_t, p) = Σ_v P(v | x_t) q(x_s | x_t, v), for both processes."""
    for world, alpha_t, alpha_s in ((w, *a) for w in MARKOV for a in ((0.1, 0.2), (0.5, 0.9))):
        z, process, log_p = world.states, world.process, world.log_p(alpha_t)
        seen = np.exp(posterior(log_p, z, alpha_t, process))
        each = np.stack([
            process.bridge(z, np.broadcast_to(e, (*z.shape, 3)), alpha_s, alpha_t)
            for e in np.eye(3)
        ], axis=-2)  # fmt: skip
        mixture = (seen[..., None] * each).sum(axis=-2)
        np.testing.assert_allclose(
            process.bridge(z, np.exp(log_p), alpha_s, alpha_t), mixture, atol=1e-12
        )


def test_a_tau_leap_changes_a_token_with_one_minus_the_exponential_of_its_rate():
    """[T44]: rate by rate, with R(v, z) and a ratio of p_t for each; both differ by O(h²)."""
    for world in MARKOV:
        z, process, a = world.states, world.process, 0.3
        p_t = law_at(world, a, clean_law(world)).reshape((process.states,) * 3)
        found = tau_leap_law(process, z, world.log_p(a), a + 0.01, a)
        for row, laws in zip(z, found, strict=True):
            for i, v in np.ndindex(laws.shape):
                other = row.copy()
                other[i] = v
                rates = {
                    u: 0.01 / a * process.rate()[u, row[i]]
                    * p_t[(*row[:i], u, *row[i + 1 :])] / p_t[tuple(row)]
                    for u in range(process.states) if u != row[i]
                }  # fmt: skip
                total = sum(rates.values())
                wanted = math.exp(-total)
                if v != row[i]:
                    wanted = -math.expm1(-total) * rates[v] / total if total else 0.0
                assert laws[i, v] == pytest.approx(wanted, abs=1e-12)
        exact = process.bridge(z, np.exp(world.log_p(a)), a + 0.01, a)
        assert 1e-5 < np.abs(found - exact).max() < 5e-3


@pytest.mark.parametrize(
    ("N", "ancestral", "leaping", "bathed", "wrong"),
    [(8, 0.0922, 0.0925, 0.1341, 0.2614), (32, 0.0238, 0.0228, 0.0251, 0.2350),
     (128, 0.0063, 0.0059, 0.0055, 0.2239)],
)  # fmt: skip
def test_the_known_distances_to_the_data_at_equal_numbers_of_calls(
    N, ancestral, leaping, bathed, wrong
):
    """[T45]: with a heat bath, N/2 steps. To the four digits given: 5e-5."""
    tv = partial(distance_to_clean, UNIFORM)
    z, process = UNIFORM.states, UNIFORM.process

    def misled(alpha_s, alpha_t):
        p = np.exp(posterior(UNIFORM.log_p(alpha_t), z, alpha_t))
        return UNIFORM.independently(process.bridge(z, p, alpha_s, alpha_t))

    for found, wanted in (
        (last_law(UNIFORM, even(N), UNIFORM.bridge), ancestral),
        (last_law(UNIFORM, even(N), UNIFORM.tau_leap), leaping),
        (last_law(UNIFORM, even(N // 2), UNIFORM.bridge, UNIFORM.heat_bath), bathed),
        (last_law(UNIFORM, even(N), misled), wrong),
    ):
        assert tv(found) == pytest.approx(wanted, abs=5e-5)


def ends(world, N, power):
    """The distance to the data of a chain of N steps over t = (k/N)^power."""
    alphas = 1 - (np.arange(N, -1, -1) / N) ** power
    return distance_to_clean(world, last_law(world, alphas, world.bridge))


@pytest.mark.parametrize(
    ("N", "linear", "quadratic"), [(8, 0.0922217, 0.0530685), (64, 0.0122415, 0.0054071)]
)
def test_steps_that_shorten_towards_the_end_halve_the_error(N, linear, quadratic):
    """[T45], on D2."""
    assert ends(UNIFORM, N, 1) == pytest.approx(linear, abs=1e-6)
    assert ends(UNIFORM, N, 2) == pytest.approx(quadratic, abs=1e-6)


@pytest.mark.parametrize("N", [8, 64])
def test_short_steps_at_the_end_serve_the_uniform_process_and_not_the_masked_one(N):
    """[T45]: on two worlds, with N calls, also on the package's grids, whose end is t = 1e-5."""
    for uniform, masked in ((UNIFORM, MASKED), MARKOV):
        assert ends(uniform, N, 2) < 0.8 * ends(uniform, N, 1)
        assert ends(masked, N, 2) > 1.2 * ends(masked, N, 1)
        for world, better, worse in (
            (uniform, quadratic_grid, time_grid), (masked, time_grid, quadratic_grid)
        ):  # fmt: skip
            good, bad = (
                distance_to_clean(
                    world, last_law(world, [*(1 - grid(1.0, N - 1)), 1], world.bridge)
                )
                for grid in (better, worse)
            )
            assert good < 0.8 * bad


def test_the_quadratic_grid_starts_at_t_and_visits_the_points_below():
    times = quadratic_grid(0.1, 64)
    assert times[0] == 0.1
    assert times[-1] == 1e-5
    assert len(times) == 22  # (k/64)² < .1 for k = 0 … 20
    assert (np.diff(times) < 0).all()


# ---- known tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("N", "clamped", "corrected"),
    [(16, 0.555349, 0.509218), (64, 0.564599, 0.502561), (256, 0.570612, 0.500655)],
)
def test_a_prompt_needs_a_corrector_in_the_uniform_process_and_none_in_the_masked(
    N, clamped, corrected
):
    """[T35]: the chance of (1, 0, 1), true conditional ½."""
    [n] = np.flatnonzero((UNIFORM.states == (1, 0, 1)).all(axis=1))
    assert prompted(UNIFORM, even(N), corrected=False)[n] == pytest.approx(clamped, abs=1e-6)
    assert prompted(UNIFORM, even(N), corrected=True)[n] == pytest.approx(corrected, abs=1e-6)
    [m] = np.flatnonzero((MASKED.states == (1, 0, 1)).all(axis=1))
    masked = prompted(MASKED, even(N), corrected=False)
    assert masked[m] == pytest.approx(0.5, abs=1e-12)  # of the tokens after 1 only the last is open
    assert distance_to_clean(MASKED, masked) == pytest.approx(0.5, abs=1e-12)

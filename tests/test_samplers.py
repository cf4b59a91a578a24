"""Steps and correctors of the reverse chain [T35], [T43]-[T45]: by enumeration, and as drawn.

A chain of N steps visits α = 1 - k/N, k = N … 0, and starts from noise, as in `test_chains`.
"""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2

from experiments.kit.chains import Sampler, World, run_for
from minuddm import (
    Absorbing,
    DatasetIdeal,
    Linear,
    ModelConfig,
    Transformer,
    Uniform,
    generate,
    posterior,
    restore,
)
from minuddm.ideal import MarkovIdeal
from minuddm.reverse import quadratic_grid, time_grid
from minuddm.samplers import HeatBath, Jumps, barker, metropolis, tau_leap, tau_leap_law
from minuddm.sources import MarkovChain
from tests import oracle

D2 = oracle.states(3, 3)[np.random.default_rng(0).permutation(27)[:4]]
LAW = oracle.dataset_law(D2, 3)
PROCESSES = (Uniform(3), Absorbing(3))
BALANCED = (barker, np.sqrt, metropolis)
UNIFORM, MASKED = (World(process, DatasetIdeal(D2, 3, process), 3) for process in PROCESSES)
CHAIN = MarkovChain.random(3, np.random.default_rng(1))
MARKOV = [World(process, MarkovIdeal(CHAIN, process), 3) for process in PROCESSES]


def even(N):
    return 1 - np.arange(N, -1, -1) / N


def law_at(world, alpha, law):
    """p_t over all states, from the law of clean ones."""
    x, z = oracle.states(3, 3), world.states
    kernel = world.process.marginal(x, alpha)  # (n, L, states)
    return law @ np.prod([kernel[:, i][:, z[:, i]] for i in range(3)], axis=0)


def clean_law(world):
    if world in MARKOV:
        return np.exp(CHAIN.log_prob(oracle.states(3, 3)))
    return LAW


def last_law(world, alphas, step, corrector=None):
    """The law at the end of a chain through alphas, corrected after every step but the last."""
    law = world.noise()
    for alpha_t, alpha_s in pairwise(alphas):
        law = law @ step(alpha_s, alpha_t)
        if corrector is not None and alpha_s < 1:
            law = law @ corrector(alpha_s)
    return law


def distance(one, other):
    return 0.5 * np.abs(one - other).sum()


def distance_to_clean(world, law):
    """Total variation between a law over all states and that of clean sequences."""
    return distance(law, law_at(world, 1.0, clean_law(world)))


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


@pytest.mark.parametrize("process", PROCESSES)
def test_a_sampler_as_matrices_is_the_chain_it_is_and_counts_its_calls(process):
    """Calls of 4,000 sequences with informed jumps, to 5 standard errors: a false alarm of 6e-7."""
    world, schedule = World(process, DatasetIdeal(D2, 3, process), 3), Linear()
    times = quadratic_grid(1.0, 5)
    alphas = [*(1 - times), 1.0]
    law, calls = Sampler(quadratic_grid, tau_leap, sites=1).end(world, schedule, 5)
    np.testing.assert_allclose(law, last_law(world, alphas, world.tau_leap, world.heat_bath))
    assert calls == 6 + 5
    asked = []

    def counting(z, alpha):
        asked.append(len(z))
        return world.denoiser(z, alpha)

    sampler, rng = Sampler(span=0.5), np.random.default_rng(0)
    generate(
        counting, 4000, 3, 3, schedule, 3, rng, process=process, corrector=sampler.corrector,
        batch=4000,
    )  # fmt: skip
    visible_or_all = 1 if process == Uniform(3) else 4
    expected = sampler.end(world, schedule, 3)[1]
    if visible_or_all == 1:  # a masked token need not be hidden: there it is an upper bound
        assert sum(asked) / 4000 == pytest.approx(expected, abs=5 * 2 / np.sqrt(4000))
    assert sum(asked) / 4000 < expected + 5 * 2 * visible_or_all / np.sqrt(4000)


# ---- known tokens --------------------------------------------------------------------------------


def prompted(world, alphas, corrected):
    """The law of a chain whose first token is held at 1."""
    law = np.where(world.states[:, 0] == 1, 1.0, 0.0)
    law[law > 0] = world.noise().reshape(world.process.states, -1).sum(axis=0)
    for alpha_t, alpha_s in pairwise(alphas):
        law = law @ world.bridge(alpha_s, alpha_t, [0])
        if corrected and alpha_s < 1:
            law = law @ world.heat_bath(alpha_s, [0])
    return law


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


# ---- what is drawn has these laws ----------------------------------------------------------------


def agrees(drawn, law, world):
    """Chi-square of states against their chances, of those with 5 or more expected together."""
    V = world.process.states
    counts = np.bincount(drawn @ V ** np.arange(world.L - 1, -1, -1), minlength=len(law))
    expected = law * len(drawn)
    often = expected >= 5
    rest = len(drawn) - counts[often].sum(), len(drawn) - expected[often].sum()
    terms = (counts[often] - expected[often]) ** 2 / expected[often]
    extra = (rest[0] - rest[1]) ** 2 / max(rest[1], 1)
    return chi2.sf(terms.sum() + extra, often.sum()) > 1e-5  # the false alarm of each


@pytest.mark.parametrize("world", [UNIFORM, MASKED])
def test_generated_sequences_have_the_enumerated_law(world):
    """Those of the plain chain have not. Three chances of 1e-5 of a false alarm, fixed seeds."""
    process, alphas = world.process, [*(1 - time_grid(1.0, 4)), 1.0]
    g = np.sqrt if world is UNIFORM else barker  # rates without a bound are no food for expm
    jumps = {a: run_for(world.generator(a, g), 0.3)[0] for a in alphas[1:-1]}
    twice = {a: np.linalg.matrix_power(world.heat_bath(a), 2) for a in alphas[1:-1]}
    plain = last_law(world, alphas, world.bridge)
    for seed, (n, options, step, corrector) in enumerate((
        (40_000, {"step": tau_leap}, world.tau_leap, None),
        (5000, {"corrector": HeatBath(2)}, world.bridge, twice.__getitem__),
        (5000, {"corrector": Jumps(0.3, g)}, world.bridge, jumps.__getitem__),
    )):  # fmt: skip
        rng = np.random.default_rng(seed)
        drawn = generate(world.denoiser, n, 3, 3, Linear(), 4, rng, process=process, **options)
        assert agrees(drawn, last_law(world, alphas, step, corrector), world)
        assert not agrees(drawn, plain, world)


@pytest.mark.parametrize("world", [UNIFORM, MASKED])
def test_prompted_sequences_have_the_enumerated_law(world):
    """The uniform process corrects itself if not told how; 1e-5 of a false alarm."""
    law = prompted(world, [*(1 - time_grid(1.0, 8)), 1.0], corrected=world is UNIFORM)
    known, prompt = np.array([True, False, False]), [1, 0, 0]
    drawn = generate(
        world.denoiser, 5000, 3, 3, Linear(), 8, np.random.default_rng(5),
        process=world.process, known=known, prompt=prompt,
    )  # fmt: skip
    assert (drawn[:, 0] == 1).all()
    assert agrees(drawn, law, world)


# ---- values, and bits ----------------------------------------------------------------------------


def network(process):
    config = ModelConfig(5, 6, 16, 1, 2, states=process.states)
    model = Transformer.init(config, np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(size=model.weights.flat.size)
    model.weights.flat += (0.3 * noise).astype(np.float32)
    return model


@pytest.mark.parametrize("process", [Uniform(5), Absorbing(5)])
@pytest.mark.parametrize("corrector", [HeatBath(3), Jumps(0.05), None])
def test_threads_change_nothing_and_known_tokens_stay(process, corrector):
    rng = np.random.default_rng(2)
    x, known = rng.integers(5, size=(23, 6)).astype(np.int32), rng.random((23, 6)) < 0.4
    known[3], known[4] = True, False
    x0 = np.where(known, x, process.noise(x.shape, rng))
    one, three = (
        restore(
            network(process), x0, 1.0, Linear(), 5, np.random.default_rng(3), batch=4,
            threads=threads, process=process, corrector=corrector, known=known,
        )
        for threads in (1, 3)
    )  # fmt: skip
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(one[known], x[known])
    assert one.max() < 5


@pytest.mark.parametrize("corrector", [HeatBath(2), Jumps(0.5, metropolis)])
@pytest.mark.parametrize("process", PROCESSES)
def test_batches_change_nothing(process, corrector):
    ideal = DatasetIdeal(D2, 3, process)
    whole, parts = (
        generate(
            ideal, 11, 3, 3, Linear(), 6, np.random.default_rng(1), process=process,
            corrector=corrector, batch=batch, grid=quadratic_grid, step=tau_leap,
        )
        for batch in (100, 3)
    )  # fmt: skip
    np.testing.assert_array_equal(whole, parts)


def test_greedy_restoring_holds_known_tokens_and_draws_nothing():
    rng = np.random.default_rng(6)
    before = rng.bit_generator.state
    noisy, known = np.array([[2, 2, 2], [1, 1, 1]]), np.array([True, False, False])
    ideal = DatasetIdeal(D2, 3)
    back = restore(ideal, noisy, 0.5, Linear(), 8, rng, greedy=True, known=known)
    assert rng.bit_generator.state == before
    np.testing.assert_array_equal(back[:, 0], [2, 1])


GOOD = {"known": [True, False, False], "prompt": [0, 0, 0]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeatBath(0), "sites must be at least 1"),
        (lambda: Jumps(-1.0), "span"),
        (lambda: Jumps(float("nan")), "span"),
        (lambda: drawn(known=[True, False]), r"known must be booleans .* got bool of shape \(2,\)"),
        (lambda: drawn(known=[1, 0, 0]), "known must be booleans"),
        (lambda: drawn(prompt=[0, 0, 3]), "0 … 2, got 3"),
        (lambda: drawn(prompt=[0, 0]), r"prompt must have shape \(3,\) or \(2, 3\), got \(2,\)"),
        (lambda: drawn(prompt=None), "known and prompt go together"),
        (lambda: drawn(greedy=True, corrector=HeatBath()), "it has no corrector"),
        (lambda: restore(MASKED.denoiser, [[3, 0, 0]], 0.5, Linear(), 2, np.random.default_rng(0),
                         process=Absorbing(3), known=[True, False, False]), "got 3"),
    ],
)  # fmt: skip
def test_bad_arguments_get_one_clear_line(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def drawn(**changes):
    rng = np.random.default_rng(0)
    return generate(UNIFORM.denoiser, 2, 3, 3, Linear(), 2, rng, **GOOD | changes)

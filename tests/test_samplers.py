"""Samplers as they draw: the enumerated laws, the same bits for any batches, bad input."""

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
    restore,
)
from minuddm.reverse import quadratic_grid, time_grid
from minuddm.samplers import HeatBath, Jumps, barker, metropolis, tau_leap
from tests.chains import D2, MASKED, PROCESSES, UNIFORM, last_law, prompted

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
        (lambda: drawn(prompt=None), "known tokens need a prompt"),
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

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.ideal import DatasetIdeal
from minuddm.reverse import T_END, generate, restore, time_grid, time_grid_above
from minuddm.schedule import Linear, LogLinear
from minuddm.transformer import Transformer
from minuddm.transition import corrupt, sample_bridge
from minuddm.weights import ModelConfig
from tests import oracle, strategies


class Fixed:
    """A denoiser that says the same of every token: a law with independent positions."""

    def __init__(self, p):
        self.p = np.asarray(p, dtype=float)
        self.calls = []

    def __call__(self, tokens, alpha):
        self.calls.append((len(tokens), float(alpha[0])))
        with np.errstate(divide="ignore"):
            return np.broadcast_to(np.log(self.p), (*tokens.shape, len(self.p)))


@pytest.mark.parametrize("t", [1e-6, T_END, 0.001, 0.0078, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 7, 64])
def test_the_chain_starts_at_t_and_visits_the_grid_below(t, steps):
    times = time_grid(t, steps)
    assert times[0] == t
    assert times[-1] == min(t, T_END)
    assert (np.diff(times) < 0).all()
    points = T_END + (1 - T_END) * np.arange(steps + 1) / steps
    np.testing.assert_allclose(times[1:], points[points < t][::-1], atol=1e-15)


@pytest.mark.parametrize("t", [1e-6, 0.001, 0.0078, 0.1, 0.5, 1.0])
def test_the_papers_code_starts_at_the_point_above(t):
    points = time_grid(1.0, 64)[::-1]
    times = time_grid_above(t, 64)
    assert times[0] == points[points >= t].min()
    assert times[0] - t < 1 / 64
    np.testing.assert_array_equal(times, points[: len(times)][::-1])


@pytest.mark.parametrize("t", [0.001, 0.005, 0.0078])
def test_recovery_off_the_grid_is_that_of_bayes(t):
    """A denoiser whose law is a product needs no grid: one token, .99 of 0, has this posterior."""
    V, n = 28, 40_000
    p = np.full(V, 0.01 / (V - 1))
    p[0] = 0.99
    alpha = float(LogLinear().alpha(t))
    other = (1 - alpha) / V  # the evidence of a value that is not the one seen
    right = p[0] * other / (other + alpha * p[1])
    noisy = np.ones((n // 32, 32), int)
    for grid, near in ((time_grid, True), (time_grid_above, False)):
        chance = np.random.default_rng(3)
        back = restore(Fixed(p), noisy, t, LogLinear(), 64, chance, grid=grid)
        off = (back == 0).mean() - right
        # 5 standard errors of independent tokens: false alarms 1e-6 each
        assert (abs(off) < 5 * np.sqrt(right * (1 - right) / back.size)) == near


def test_the_last_step_is_taken_at_the_end_of_the_grid():
    denoiser = Fixed([0.5, 0.5])
    restore(denoiser, [[0, 1]], 0.1, LogLinear(), 64, np.random.default_rng(0))
    assert len(denoiser.calls) == 8  # at .1, at six points of the grid, and at its end
    assert denoiser.calls[-1][1] == pytest.approx(1 - 0.999e-5, abs=1e-12)


def test_what_is_certain_is_restored_from_any_noise():
    denoiser, noise = Fixed([0, 0, 1, 0]), np.random.default_rng(0).integers(4, size=(50, 9))
    for greedy in (False, True):
        back = restore(denoiser, noise, 1.0, LogLinear(), 8, np.random.default_rng(1), greedy)
        assert (back == 2).all()


def test_generation_from_noise_has_the_law_of_the_model():
    law = np.array([0.6, 0.3, 0.1])
    x = generate(Fixed(law), 4000, 5, 3, Linear(), 20, np.random.default_rng(2))
    share = np.bincount(x.ravel(), minlength=3) / x.size
    # 4 standard errors of a share of 20,000 independent tokens
    np.testing.assert_allclose(share, law, atol=4 * np.sqrt(0.25 / x.size))


def test_the_ideal_memoriser_generates_its_patterns_and_nothing_else():
    patterns = np.random.default_rng(3).integers(5, size=(4, 12))
    x = generate(DatasetIdeal(patterns, 5), 200, 12, 5, LogLinear(), 64, np.random.default_rng(4))
    names = {tuple(p): k for k, p in enumerate(patterns)}
    drawn = np.array([names.get(tuple(row), -1) for row in x])
    assert (drawn >= 0).mean() > 0.9  # 64 steps leave a discretisation error
    counts = np.bincount(drawn[drawn >= 0], minlength=4) / (drawn >= 0).sum()
    np.testing.assert_allclose(counts, 0.25, atol=4 * np.sqrt(0.1875 / 180))


@given(seed=strategies.seeds, batch=st.integers(1, 9))
def test_batches_change_nothing(seed, batch):
    patterns = np.random.default_rng(5).integers(4, size=(3, 6))
    noise = np.random.default_rng(seed).integers(4, size=(7, 6))
    whole, parts = (
        restore(
            DatasetIdeal(patterns, 4), noise, 0.6, Linear(), 9, np.random.default_rng(seed), batch=b
        )
        for b in (100, batch)
    )
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("greedy", [False, True])
def test_threads_change_nothing(greedy):
    model = Transformer.init(ModelConfig(5, 6, 16, 1, 2), np.random.default_rng(0))
    model.weights.flat += np.float32(0.3) * np.random.default_rng(1).normal(
        size=model.weights.flat.size
    ).astype(np.float32)
    noise, seen = np.random.default_rng(2).integers(5, size=(23, 6)), []
    one, three = (
        restore(
            model, noise, 1.0, LogLinear(), 12, np.random.default_rng(3), greedy=greedy, batch=4,
            watch=lambda t, rows, z, log_p: seen.append((t, rows.start)), threads=threads,
        )
        for threads in (1, 3)
    )  # fmt: skip
    np.testing.assert_array_equal(one, three)
    assert sorted(seen[: len(seen) // 2]) == sorted(seen[len(seen) // 2 :])


def test_greedy_restoring_draws_nothing():
    rng = np.random.default_rng(6)
    before = rng.bit_generator.state
    restore(Fixed([0.2, 0.8]), [[0, 1, 0]], 0.5, Linear(), 8, rng, greedy=True)
    assert rng.bit_generator.state == before


def test_the_input_is_left_alone():
    xt = np.zeros((2, 3), np.int32)
    restore(Fixed([0.0, 1.0]), xt, 1.0, Linear(), 4, np.random.default_rng(0))
    assert (xt == 0).all()


def test_one_exact_step_is_the_posterior():
    """With one position the conditional is exact: a bridge to α_s = 1 draws Bayes' law."""
    V, alpha, law = 4, 0.7, np.array([0.5, 0.3, 0.15, 0.05])
    wanted = oracle.conditionals(law, V, np.array([1]), alpha, leave_out=False)[0]
    xt = np.full((100_000, 1), 1)
    log_p = np.broadcast_to(np.log(law), (*xt.shape, V))
    x = sample_bridge(xt, log_p, 1.0, alpha, np.random.default_rng(7))
    np.testing.assert_allclose(np.bincount(x[:, 0]) / len(x), wanted, atol=4 * 0.5 / np.sqrt(1e5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t": 0.0}, r"t must lie in \(0, 1\], got 0.0"),
        ({"t": 1.5}, r"\(0, 1\]"),
        ({"t": float("nan")}, r"\(0, 1\]"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"xt": [0, 1]}, "2 axes"),
        ({"xt": [[0, 2]]}, "0 … 1, got 2"),
    ],
)
def test_bad_arguments_get_one_clear_line(changes, message):
    good = {"xt": [[0, 1]], "t": 0.5, "steps": 4, "batch": 2}
    arguments = good | changes
    with pytest.raises(ValueError, match=message):
        restore(
            Fixed([0.5, 0.5]),
            arguments["xt"],
            arguments["t"],
            Linear(),
            arguments["steps"],
            np.random.default_rng(0),
            batch=arguments["batch"],
        )


def test_the_chain_undoes_what_corruption_did_when_the_memory_is_perfect():
    patterns = np.random.default_rng(8).integers(28, size=(16, 32))
    xt = corrupt(patterns, float(LogLinear().alpha(0.25)), 28, np.random.default_rng(9))
    back = restore(DatasetIdeal(patterns, 28), xt, 0.25, LogLinear(), 64, np.random.default_rng(10))
    np.testing.assert_array_equal(back, patterns)

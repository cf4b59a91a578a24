import numpy as np
import pytest

from minuddm.adamw import adamw_step, average_decay, global_norm, learning_rate

SETTINGS = {
    "lr": 0.01, "clip": 1.0, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "decay": 0.9
}  # fmt: skip


def test_a_step_is_the_definition():
    rng = np.random.default_rng(0)
    w = rng.normal(size=50)
    state = [w.copy(), w.copy(), np.zeros(50), np.zeros(50)]
    m, v, average = np.zeros(50), np.zeros(50), w.copy()
    for step in range(5):
        g = rng.normal(size=50)
        assert global_norm(g) == pytest.approx(np.linalg.norm(g))
        adamw_step(*state, g.copy(), global_norm(g), step=step, **SETTINGS)
        g = g / max(1, np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        m_hat, v_hat = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.99 ** (step + 1))
        w = w - 0.01 * (m_hat / (np.sqrt(v_hat) + 1e-8) + 0.1 * w)
        average = 0.9 * average + 0.1 * w
        for got, wanted in zip(state, (w, average, m, v), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_a_gradient_below_the_clip_is_left_alone_and_zero_is_no_direction():
    w = np.ones(3)
    state = [w, w.copy(), np.zeros(3), np.zeros(3)]
    adamw_step(*state, np.full(3, 0.1), 0.1 * 3**0.5, step=0, **(SETTINGS | {"weight_decay": 0.0}))
    np.testing.assert_allclose(state[2], 0.01)
    still = [np.ones(3), np.ones(3), np.zeros(3), np.zeros(3)]
    adamw_step(*still, np.zeros(3), 0.0, step=0, **(SETTINGS | {"weight_decay": 0.0}))
    np.testing.assert_array_equal(still[0], 1)


def test_the_norm_of_float32_is_summed_in_float64():
    g = np.full(1_000_000, 1e-4, np.float32)
    assert global_norm(g) == pytest.approx(0.1, rel=1e-6)


def test_the_learning_rate_climbs_and_stays_or_falls_to_zero():
    rates, falling = ([learning_rate(k, 10, 0.5, end) for k in range(100)] for end in (None, 100))
    for climbing in (rates, falling):
        np.testing.assert_allclose(climbing[:10], 0.05 * np.arange(1, 11))
    assert set(rates[10:]) == {0.5}
    assert (np.diff(falling[10:]) < 0).all()
    assert falling[-1] < 2e-4
    assert learning_rate(0, 0, 0.5) == learning_rate(0, 0, 0.5, 1) == 0.5
    assert learning_rate(1, 10, 0.5, 20) == 0.5  # the warm-up of a short run is short


def test_the_average_forgets_its_start():
    assert average_decay(0, 0.999) < 0.2
    assert average_decay(10**6, 0.999) == 0.999

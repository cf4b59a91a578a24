import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.kit.warped import Warped
from minuddm.nelbo.times import stratified_times
from minuddm.schedule import Cosine, Linear, LogLinear
from tests import strategies

every_schedule = pytest.mark.parametrize(
    "schedule", [LogLinear(), LogLinear(0.1), Linear(), Cosine()]
)


@every_schedule
def test_nothing_but_epsilon_is_left_in_the_end(schedule):
    assert float(schedule.alpha(1.0)) == pytest.approx(getattr(schedule, "eps", 0.0), abs=1e-16)


@every_schedule
@given(t=st.floats(0, 1))
def test_time_undoes_alpha(schedule, t):
    # α is right to an ulp, and |dt/dα| ≤ 1/(0.9) or, for the cosine, pays as α does near 0
    assert float(schedule.time(schedule.alpha(t))) == pytest.approx(t, abs=1e-14)


@every_schedule
@pytest.mark.parametrize("t", [-0.1, 1.1, np.nan])
def test_times_outside_the_unit_interval_are_refused(schedule, t):
    for function in (schedule.alpha, schedule.dalpha):
        with pytest.raises(ValueError, match=r"t must lie in \[0, 1\]"):
            function(t)


def test_the_log_linear_schedule_is_the_papers():
    assert float(LogLinear().alpha(1.0)) == pytest.approx(1e-3)
    assert float(LogLinear().dalpha(0.3)) == -0.999


def test_a_schedule_needs_an_epsilon_between_zero_and_one():
    with pytest.raises(ValueError, match="eps"):
        LogLinear(0.0)


@given(n=st.integers(1, 50), t_min=st.floats(1e-6, 0.1), seed=strategies.seeds)
def test_stratified_times_put_one_in_each_cell(n, t_min, seed):
    t, weight = stratified_times(n, t_min, np.random.default_rng(seed))
    low = np.sqrt(t_min)
    cell = (np.sqrt(t) - low) / (1 - low) * n
    assert (np.abs(cell - np.arange(n) - 0.5) <= 0.5 + 1e-9).all()
    np.testing.assert_allclose(weight, 2 * np.sqrt(t) * (1 - low))


@pytest.mark.parametrize("power", [0, -0.5, 1])
def test_weighted_means_over_stratified_times_are_integrals(power):
    t_min, rng = 1e-4, np.random.default_rng(0)
    means = [
        np.mean(w * t**power) for t, w in (stratified_times(64, t_min, rng) for _ in range(200))
    ]
    exact = (1 - t_min ** (power + 1)) / (power + 1)
    assert abs(np.mean(means) - exact) < 4 * np.std(means) / np.sqrt(200) + 1e-12


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_a_warped_schedule_samples_the_same_integral_elsewhere(power):
    """∫ f(α) (-α') dt = ∫ f dα, whatever the schedule; here f = α², from α(1) = ε to 1."""
    warped = Warped(LogLinear(), power)
    t, weight = stratified_times(200_000, 1e-12, np.random.default_rng(0))
    found = np.mean(weight * -warped.dalpha(t) * warped.alpha(t) ** 2)
    # a cell is 5e-6 wide, and the integrand's slope in u at most 4: |error| ≤ 2e-5, and √1e-12
    assert found == pytest.approx((1 - 1e-3**3) / 3, abs=3e-5)
    np.testing.assert_allclose(warped.time(warped.alpha(t)), t, rtol=1e-9, atol=1e-9)

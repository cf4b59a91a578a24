import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopfield import Exponential, LogSumExp, LogSumReLU, Power
from tests import oracle, strategies

EPS = 2.0**-53


def overlaps(seed, P, size=3.0):
    return np.random.default_rng(seed).normal(0, size, P)


@given(F=strategies.separations(), seed=strategies.seeds, P=st.integers(1, 20))
def test_the_potential_is_its_definition(F, seed, P):
    z = overlaps(seed, P)
    got, wanted = float(F.potential(z)), oracle.potential(F, z)
    if np.isinf(wanted):
        assert got == wanted
        return
    if isinstance(F, Power):  # P terms of n factors, each rounded
        slack = EPS * (P + F.n + 2) * (np.abs(z) ** F.n / F.n).sum()
    else:  # an ulp of z, and P roundings in the sum, seen through a logarithm
        z0 = 1 + F.beta * (np.abs(z).max() + 1)
        slack = EPS * 8 * (np.abs(z).max() + (P + z0) / F.beta)
        if isinstance(F, LogSumReLU):  # 1 + βz may cancel
            slack += EPS * 8 * P * z0 / np.exp(F.beta * wanted) / F.beta
    assert abs(got - wanted) <= slack


@given(F=strategies.separations(), seed=strategies.seeds, P=st.integers(1, 10))
def test_the_force_is_the_derivative(F, seed, P):
    """Fourth-order differences: their error is h⁴ Q⁽⁵⁾ / 30 plus rounding / h."""
    z = overlaps(seed, P)
    if getattr(F, "n", 0) > 6 or getattr(F, "beta", 1) > 30:
        return  # far too curved for differences
    if isinstance(F, LogSumReLU) and np.abs(1 + F.beta * z).min() < 0.05:
        return  # at a corner, or with nothing near
    h = 1e-3 / max(1.0, getattr(F, "beta", 1))
    for mu in range(P):
        e = np.eye(P)[mu] * h
        parts = [float(F.potential(z + k * e)) for k in (-2, -1, 1, 2)]
        if np.isinf(parts[0]):
            assert F.weights(z)[mu] == 0
            continue
        slope = (parts[0] - 8 * parts[1] + 8 * parts[2] - parts[3]) / (12 * h)
        size = 1 + np.abs(F.weights(z)).max() + abs(float(F.potential(z)))
        assert abs(F.weights(z)[mu] - slope) <= 1e-6 * size


@given(F=strategies.separations(), seed=strategies.seeds, P=st.integers(1, 10))
def test_the_potential_rises_with_every_overlap(F, seed, P):
    z = overlaps(seed, P)
    if isinstance(F, Power) and F.n % 2 == 0 and not F.rectified:
        z = np.abs(z)  # even powers only rise there
    higher = z + np.random.default_rng(seed + 1).exponential(1.0, P)
    assert F.potential(higher) >= F.potential(z) * (1 - 1e-12 * np.sign(F.potential(z)))
    assert (F.weights(z) >= 0).all()


@given(F=strategies.separations(), seed=strategies.seeds, P=st.integers(1, 10))
def test_patterns_have_no_order(F, seed, P):
    z = overlaps(seed, P)
    order = np.random.default_rng(seed).permutation(P)
    np.testing.assert_allclose(F.weights(z[order]), F.weights(z)[order], rtol=1e-12)
    np.testing.assert_allclose(F.potential(z[order]), F.potential(z), rtol=1e-9, atol=1e-9)


@given(beta=strategies.betas, seed=strategies.seeds, c=st.floats(-1e6, 1e6))
def test_log_sum_exp_only_sees_differences(beta, seed, c):
    z, F = overlaps(seed, 7), LogSumExp(beta)
    # adding c rounds each z by an ulp of c, which the exponential sees times β
    np.testing.assert_allclose(F.potential(z + c), F.potential(z) + c, rtol=0, atol=4e-10)
    rounding = beta * abs(c) * 2**-52
    np.testing.assert_allclose(F.weights(z + c), F.weights(z), rtol=4 * rounding + 1e-12)


@given(beta=strategies.betas, seed=strategies.seeds, P=st.integers(1, 20))
def test_log_sum_exp_lies_between_the_nearest_and_the_nearest_plus_log_p(beta, seed, P):
    z = overlaps(seed, P)
    Q = LogSumExp(beta).potential(z)
    assert z.max() - 1e-12 <= Q <= z.max() + np.log(P) / beta + 1e-12 * (1 + 1 / beta)


def test_cold_log_sum_exp_is_the_nearest_pattern_and_hot_the_mean_of_all():
    z = np.array([0.5, 2.0, -1.0])
    np.testing.assert_allclose(LogSumExp(1e4).weights(z), [0, 1, 0], atol=1e-300)
    np.testing.assert_allclose(LogSumExp(1e-9).weights(z), [1 / 3] * 3, rtol=1e-8)
    assert LogSumExp(1e4).potential(z) == 2.0
    hot = LogSumExp(1e-6)  # Q - log P / β → mean z
    assert hot.potential(z) - np.log(3) / 1e-6 == pytest.approx(z.mean(), abs=1e-5)


def test_the_exponential_memory_orders_states_as_demircigils_sum_does():
    z = np.random.default_rng(0).normal(0, 5, (200, 12))
    by_log, by_sum = Exponential().potential(z), np.exp(z).sum(axis=1)
    np.testing.assert_array_equal(np.argsort(by_log), np.argsort(by_sum))
    np.testing.assert_allclose(np.exp(by_log), by_sum, rtol=1e-13)


@given(F=strategies.separations(), seed=strategies.seeds)
def test_overlaps_of_a_million_do_not_overflow(F, seed):
    rng = np.random.default_rng(seed)
    z = rng.choice([-1e6, -1.0, 0.0, 1.0, 1e6], size=50)
    with np.errstate(over="raise", invalid="raise"):
        Q, w = F.potential(z), F.weights(z)
        table = F.table(np.linspace(-1e6, 1e6, 11))
    assert np.isfinite(Q) or np.isneginf(Q)
    assert np.isfinite(w).all()
    assert np.isfinite(table.f).all()
    assert np.isfinite(table.delta_f).all()


@given(F=strategies.separations(origin=6.0), unit=st.sampled_from([1.0, 2.0]))
def test_a_table_holds_the_inner_function_and_its_differences(F, unit):
    """Q of a pattern at overlap k, from the table and from the function, up to a factor."""
    z = np.arange(7) * unit - 6 * (unit - 1)
    table = F.table(z)
    if table.log_ratio:  # e^log_ratio from each to the next, 1 at the last
        shrink = np.exp(-table.log_ratio)
        assert table.log_ratio == F.beta * unit
        assert table.f[-1] == 1.0
        np.testing.assert_allclose(table.f[:-1], shrink * table.f[1:], rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(table.delta_f, (1 - shrink) * table.f, rtol=1e-9, atol=1e-300)
        return
    size = np.abs(table.f).max()
    np.testing.assert_allclose(
        table.f[:-1] + table.delta_f[:-1], table.f[1:], rtol=0, atol=4 * EPS * size
    )
    for k in range(7):
        Q = F.potential(z[k : k + 1])
        inner = table.f[k]
        if table.beta:
            with np.errstate(divide="ignore"):
                inner = np.log(inner) / table.beta
        np.testing.assert_allclose(inner, Q, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Power(1), "n must be at least 2, got 1"),
        (lambda: Power(2.5), "n must be an integer, got 2.5"),
        (lambda: Power(51), "n must lie in 2 … 50, got 51"),
        (lambda: LogSumExp(0.0), "beta must be positive and finite, got 0.0"),
        (lambda: LogSumExp(-1.0), "beta"),
        (lambda: LogSumExp(np.nan), "beta"),
        (lambda: LogSumReLU(0.0), "beta"),
        (lambda: LogSumReLU(1.0, np.inf), "origin must be finite, got inf"),
    ],
)
def test_bad_parameters_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()

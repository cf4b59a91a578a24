"""The slow twins themselves, against facts they were not written from."""

import numpy as np
import pytest

from tests import oracle
from tests.gradient import worst_error


def test_states_count_in_lexicographic_order():
    assert oracle.states(3, 2).tolist()[:4] == [[0, 0], [0, 1], [0, 2], [1, 0]]


def test_without_noise_the_marginal_is_the_law_and_without_signal_uniform():
    law = np.random.default_rng(0).dirichlet(np.ones(8))
    np.testing.assert_allclose(oracle.marginal(law, 2, 3, 1.0), law, atol=1e-15)
    np.testing.assert_allclose(oracle.marginal(law, 2, 3, 0.0), 1 / 8, atol=1e-15)


def test_the_posterior_is_the_leave_one_out_conditional_times_the_evidence():
    law, z = np.random.default_rng(1).dirichlet(np.ones(27)), np.array([2, 0, 1])
    loo = oracle.conditionals(law, 3, z, 0.4, leave_out=True)
    seen = oracle.conditionals(law, 3, z, 0.4, leave_out=False)
    joint = loo * oracle.evidence(z[:, None], np.arange(3)[None, :], 3, 0.4)
    np.testing.assert_allclose(seen, joint / joint.sum(1, keepdims=True), atol=1e-15)


@pytest.mark.parametrize("fault", ["none", "a sign", "0.1 %", "one entry"])
def test_the_gradient_checker_rejects_a_wrong_gradient(fault):
    rng = np.random.default_rng(2)
    x, A = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    right = A * np.cos(x)
    wrong = {"none": right, "a sign": -right, "0.1 %": right * 1.001}.get(fault)
    if wrong is None:
        wrong = right.copy()
        wrong[np.unravel_index(np.abs(right).argmax(), right.shape)] *= 1.01
    error = worst_error(lambda: float((A * np.sin(x)).sum()), {"x": x}, {"x": wrong}, rng)
    assert (error["x"] < 1e-6) == (fault == "none")

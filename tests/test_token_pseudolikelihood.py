"""Tokens whose couplings maximise a likelihood: a denoiser linear in the others [T21], [T22]."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from threadpoolctl import threadpool_limits

from hopfield import PseudoLikelihood, TokenPseudoLikelihood
from hopfield.landscape import change
from hopfield.pseudolikelihood import tokens
from tests import oracle, strategies
from tests.gradient import worst_error


def zero_blocks(rng, L, V, size=1.0):
    W = rng.normal(0, size, (L, V, L, V))
    for i in range(L):
        W[i, :, i] = 0
    return W


@given(case=strategies.patterns_and_query(), seed=strategies.seeds)
def test_the_loss_of_tokens_is_its_definition(case, seed):
    patterns, x, V = case
    L, rng = len(x), np.random.default_rng(seed)
    W, b = zero_blocks(rng, L, V), rng.normal(size=(L, V))
    flat = np.concatenate([W.ravel(), b.ravel()])
    hot, xi = tokens._one_hot(patterns, V)
    loss, _ = tokens.loss_and_grad(flat, hot, xi, 0.0)
    wanted = oracle.token_pseudo_likelihood(W, b, patterns)
    assert loss == pytest.approx(wanted, rel=1e-10, abs=1e-12)
    p = TokenPseudoLikelihood(W, b).conditionals(patterns)
    own = np.take_along_axis(p, patterns[..., None], axis=2)
    assert -np.log(own).sum() / len(patterns) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_the_gradient_of_tokens_is_the_derivative(decay):
    rng = np.random.default_rng(9)
    L, V = 4, 3
    hot, xi = tokens._one_hot(rng.integers(V, size=(6, L)), V)
    W = zero_blocks(rng, L, V, 0.5)
    free = np.concatenate([~np.kron(np.eye(L, dtype=bool), np.ones((V, V), bool)).ravel(),
                           np.ones(L * V, bool)])  # fmt: skip
    flat = np.concatenate([W.ravel(), rng.normal(size=L * V)])
    _, grad = tokens.loss_and_grad(flat, hot, xi, decay)
    assert (grad[~free] == 0).all()

    entries = flat[free]

    def loss():
        full = np.zeros_like(flat)
        full[free] = entries
        return tokens.loss_and_grad(full, hot, xi, decay)[0]

    assert worst_error(loss, {"W, b": entries}, {"W, b": grad[free]}, rng)["W, b"] < 1e-6


def test_descent_and_lbfgs_come_to_the_same_token_couplings():
    patterns, decay = np.random.default_rng(10).integers(3, size=(40, 5)), 0.1
    one = TokenPseudoLikelihood.fit(patterns, 3, steps=1000, lr=0.5, decay=decay)
    two = TokenPseudoLikelihood.fit_lbfgs(patterns, 3, decay=decay)
    np.testing.assert_allclose(one.W, two.W, atol=1e-5)
    p, q = one.conditionals(patterns), two.conditionals(patterns)
    np.testing.assert_allclose(p, q, atol=1e-5)  # b is known up to a constant a position


def test_two_values_are_spins():
    """W_ji(a, v) = W_ij s(a) s(v), s = ±1: softmax is e^{s f}/(2 cosh f), recall the sign."""
    rng, s = np.random.default_rng(11), np.array([-1.0, 1.0])
    W = rng.normal(size=(20, 20))
    np.fill_diagonal(W, 0)
    spin = PseudoLikelihood(W)
    token = TokenPseudoLikelihood(np.einsum("ij,a,v->jaiv", W, s, s), np.zeros((20, 2)))
    x = rng.choice([-1, 1], size=(30, 20))
    up = (x > 0).astype(int)
    np.testing.assert_allclose(token.conditionals(up)[..., 1], spin.conditionals(x), atol=1e-14)
    np.testing.assert_array_equal(
        2 * token.recall(up, max_sweeps=3).state - 1, spin.recall(x, max_sweeps=3).state
    )
    assert token.asymmetry == pytest.approx(spin.asymmetry, rel=1e-12)


def test_no_token_sees_itself():
    rng = np.random.default_rng(12)
    memory = TokenPseudoLikelihood.fit(rng.integers(4, size=(10, 6)), 4, steps=20)
    x = rng.integers(4, size=(1, 6))
    for i in range(6):
        other = x.copy()
        other[0, i] = (x[0, i] + 1) % 4
        np.testing.assert_array_equal(memory.logits(x)[0, i], memory.logits(other)[0, i])


def test_a_denoiser_is_the_conditional_without_noise_and_knows_nothing_in_pure_noise():
    rng = np.random.default_rng(13)
    patterns = rng.integers(4, size=(10, 6))
    memory = TokenPseudoLikelihood.fit(patterns, 4, steps=50)
    x = rng.integers(4, size=(3, 6))
    log_p = memory(x, np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(np.exp(log_p).sum(axis=2), 1.0)
    np.testing.assert_allclose(np.exp(log_p[0]), memory.conditionals(x)[0])
    np.testing.assert_allclose(log_p[2], memory(x[:1], np.array([0.0]))[0])
    # between: the logits are the mean over what each token may have been
    survive, lost = 0.5 + 0.5 / 4, 0.5 / 4
    f = memory.b.copy()
    for j in range(6):
        chance = np.full(4, lost)
        chance[x[1, j]] = survive
        f += np.tensordot(chance, memory.W[j], axes=1)
    np.testing.assert_allclose(log_p[1], f - np.log(np.exp(f).sum(axis=1, keepdims=True)))


@given(case=strategies.patterns_and_query(), seed=strategies.seeds)
def test_a_sweep_sets_each_token_to_its_most_likely_value(case, seed):
    _, x, V = case
    L, rng = len(x), np.random.default_rng(seed)
    W, b = zero_blocks(rng, L, V), rng.normal(size=(L, V))
    wanted = x.copy()
    for i in range(L):
        wanted[i] = int(np.argmax(b[i] + sum(W[j, wanted[j], i] for j in range(L))))
    memory = TokenPseudoLikelihood(W, b)
    found = memory.recall(x[None], max_sweeps=1)
    np.testing.assert_array_equal(found.state[0], wanted)
    np.testing.assert_allclose(found.energies[:, -1], memory.energy(found.state), atol=1e-11)


def test_ties_keep_the_token():
    memory = TokenPseudoLikelihood(np.zeros((3, 2, 3, 2)), np.zeros((3, 2)))
    for x in ([[0, 1, 0]], [[1, 1, 1]]):
        np.testing.assert_array_equal(memory.recall(x).state, x)
        assert memory.recall(x).converged.all()


@pytest.mark.parametrize("fit", [TokenPseudoLikelihood.fit, TokenPseudoLikelihood.fit_lbfgs])
@pytest.mark.parametrize("V", [2, 3, 5, 6, 7])
def test_a_token_about_which_the_patterns_say_nothing_keeps_its_value(fit, V):
    """At 0 its gradient is 1/V - 1/V summed in floats: rounding, which must not be learnt."""
    equal = np.array([(v, v, *rest) for v, *rest in itertools.product(range(V), repeat=3)])
    memory = fit(np.concatenate([equal, equal[: V * V]]), V, steps=50)
    assert (memory.W[:, :, 2:] == 0).all()
    assert (memory.b[2:] == 0).all()
    assert (memory.W[0, :, 1] != 0).any()
    x = np.random.default_rng(0).integers(V, size=(40, 4))
    np.testing.assert_array_equal(memory.recall(x).state[:, 2:], x[:, 2:])
    every = np.array(list(itertools.product(range(V), repeat=2)))
    nothing = fit(every, V, steps=50)
    np.testing.assert_array_equal(nothing.recall(every).state, every)
    assert nothing.asymmetry == 0


def test_a_token_that_another_shows_is_not_silent():
    """Each value as frequent as the others, but not beside the others."""
    patterns = np.arange(3)[:, None].repeat(2, axis=1)
    memory = TokenPseudoLikelihood.fit(patterns, 3, steps=50)
    np.testing.assert_array_equal(memory.recall([[0, 1], [2, 1]]).state[:, 1], [1, 1])
    assert (memory.conditionals(patterns).max(axis=2) > 0.9).all()


def test_bits_do_not_depend_on_the_threads_of_blas():
    patterns = np.random.default_rng(16).integers(5, size=(60, 24))
    for fit in (TokenPseudoLikelihood.fit, TokenPseudoLikelihood.fit_lbfgs):
        found = []
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                found.append(fit(patterns, 5, steps=10).W)
        np.testing.assert_array_equal(*found)


def test_symmetric_token_couplings_have_an_energy_and_no_asymmetry():
    rng = np.random.default_rng(14)
    W, b = zero_blocks(rng, 8, 3), rng.normal(size=(8, 3))
    W = W + W.transpose(2, 3, 0, 1)
    memory = TokenPseudoLikelihood(W, b)
    assert memory.asymmetry < 1e-15
    found = memory.recall(rng.integers(3, size=(50, 8)), rng=rng)
    assert (np.diff(found.energies, axis=1) <= 1e-11).all()
    assert found.converged.all()
    assert TokenPseudoLikelihood(zero_blocks(rng, 8, 3), b).asymmetry == pytest.approx(
        np.sqrt(2), abs=0.2
    )


def test_sequences_are_stored_and_repaired():
    rng = np.random.default_rng(15)
    patterns = rng.integers(28, size=(40, 32))
    memory = TokenPseudoLikelihood.fit_lbfgs(patterns, 28, steps=50)
    noisy = change(patterns, 5, np.arange(28), rng)
    np.testing.assert_array_equal(memory.recall(noisy, rng=rng).state, patterns)
    assert memory.asymmetry > 0.05


SMALL = TokenPseudoLikelihood(np.zeros((2, 3, 2, 3)), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TokenPseudoLikelihood.fit([[0, 3]], 3), "0 … 2, got 3"),
        (lambda: TokenPseudoLikelihood.fit([[0, 1]], 1), "V must be at least 2"),
        (lambda: TokenPseudoLikelihood.fit([[0, 1]], 2, decay=-0.1), "decay"),
        (lambda: TokenPseudoLikelihood(np.ones((1, 2, 1, 2)), np.zeros((1, 2))), "itself"),
        (lambda: TokenPseudoLikelihood(np.ones((1, 2)), np.zeros((1, 2))), "shape"),
        (lambda: TokenPseudoLikelihood(np.zeros((1, 2, 1, 2)), [[0, np.nan]]), "finite"),
        (lambda: SMALL.recall([[0, 3]]), "states must lie in 0 … 2, got 3"),
        (lambda: SMALL([[0, 1]], np.array([1.5])), r"alpha must lie in \[0, 1\], got 1.5"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()

"""The process as a value: Uniform is its plain functions, and nobody asks anything else."""

import pickle
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm import nelbo, transition
from minuddm.denoiser import posterior, score_ratios
from minuddm.ideal import DatasetIdeal, HierarchyIdeal, MarkovIdeal
from minuddm.nelbo import discrete_elbo, exact_nelbo
from minuddm.probes import conditional_entropy, fixed_points, held_out_nelbo
from minuddm.process import Uniform, given_or_uniform
from minuddm.reverse import generate, restore
from minuddm.schedule import Linear
from minuddm.sources import MarkovChain, RandomHierarchy
from minuddm.train import TrainConfig, train
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig
from tests import strategies

# ---- Uniform is its plain functions --------------------------------------------------------------


@given(V=strategies.vocabularies, times=strategies.two_alphas(), seed=strategies.seeds)
def test_the_kernel_of_the_value_is_that_of_the_functions(V, times, seed):
    process, (alpha, _) = Uniform(V), times
    rng = np.random.default_rng(seed)
    p, x = rng.dirichlet(np.ones(V), size=(4, 3)), rng.integers(V, size=(4, 3))
    same = np.testing.assert_array_equal
    same(process.kernel(alpha), transition.transition(alpha, V))
    same(process.rate(), transition.rate(V))
    same(process.propagate(p, alpha), transition.propagate(p, alpha))
    same(process.marginal(x, alpha), transition.marginal(x, alpha, V))
    beta = transition.inverse_temperature(alpha, V)
    same(process.inverse_temperature(x, alpha), np.full((4, 3), beta))
    one, two = (np.random.default_rng(seed) for _ in range(2))
    same(process.corrupt(x, alpha, one), transition.corrupt(x, alpha, V, two))


@given(V=strategies.vocabularies, times=strategies.two_alphas(), seed=strategies.seeds)
def test_the_bridge_of_the_value_is_that_of_the_functions(V, times, seed):
    process, rng = Uniform(V), np.random.default_rng(seed)
    p, z, u = (
        rng.dirichlet(np.ones(V), size=(4, 3)),
        rng.integers(V, size=(4, 3)),
        rng.random((4, 3)),
    )
    same, log_p = np.testing.assert_array_equal, np.log(p)
    same(process.bridge(z, p, *times), transition.bridge(z, p, *times))
    drawn = process.bridge_quantile(z, log_p, *times, u)
    same(drawn, transition.bridge_quantile(z, log_p, *times, u))
    same(process.mode_of_bridge(z, log_p, *times), transition.mode_of_bridge(z, log_p, *times))


@given(V=strategies.vocabularies, alpha=strategies.inner_alphas, seed=strategies.seeds)
def test_the_bound_of_the_value_is_that_of_the_functions(V, alpha, seed):
    process, rng = Uniform(V), np.random.default_rng(seed)
    logits, (x0, xt) = rng.normal(size=(4, 3, V)), rng.integers(V, size=(2, 4, 3))
    same, given_ = np.testing.assert_array_equal, (x0, xt, alpha, -0.7)
    same(process.nelbo(logits, *given_), nelbo.nelbo(logits, *given_))
    for one, two in zip(
        process.nelbo_grad(logits, *given_), nelbo.nelbo_grad(logits, *given_), strict=True
    ):
        same(one, two)
    alphas = np.full(4, alpha)
    for one, two in zip(
        process.coefficients(alphas, -0.7), nelbo.coefficients(alphas, -0.7, V), strict=True
    ):
        same(one, two)


@given(V=strategies.vocabularies, alpha=strategies.inner_alphas)
def test_evidence_and_prior_are_read_off_the_kernel(V, alpha):
    process, Q = Uniform(V), transition.transition(alpha, V)
    beta = process.inverse_temperature(np.arange(V)[None], alpha)[0]
    np.testing.assert_allclose(np.exp(beta), np.diagonal(Q) / Q[0, 1], rtol=1e-12)
    # a sum of terms of order one, whose difference may be small
    assert process.prior(alpha) == pytest.approx((Q[0] * np.log(V * Q[0])).sum(), abs=1e-14 * V)


def test_the_ends_of_the_prior_are_nothing_and_everything():
    assert Uniform(7).prior(0.0) == 0
    assert Uniform(7).prior(1.0) == pytest.approx(np.log(7))


@given(V=strategies.vocabularies, seed=strategies.seeds)
def test_changed_tokens_differ_everywhere_and_noise_is_uniform(V, seed):
    x = np.random.default_rng(seed).integers(V, size=(5, 4))
    changed = Uniform(V).change(x, np.random.default_rng(seed))
    assert (changed != x).all()
    assert ((changed >= 0) & (changed < V)).all()
    counts = np.bincount(Uniform(V).noise((2000, 5), np.random.default_rng(1)).ravel(), minlength=V)
    # 6 standard errors of a count of 10,000 draws
    assert (np.abs(counts - 10_000 / V) < 6 * np.sqrt(10_000 / V)).all()


# ---- a value -------------------------------------------------------------------------------------


def test_a_process_is_its_size_and_nothing_else():
    process = Uniform(5)
    assert process == Uniform(np.int64(5)) != Uniform(6)
    assert len({process, Uniform(5), Uniform(6)}) == 2
    assert pickle.loads(pickle.dumps(process)) == process
    assert repr(process) == "Uniform(V=5)"
    assert process.states == process.V == 5
    with pytest.raises(AttributeError):
        process.V = 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Uniform(1), "V must be at least 2, got 1"),
        (lambda: Uniform(2.0), "V must be an integer"),
        (lambda: given_or_uniform(Uniform(3), 4), "the process has V = 3"),
        (lambda: Uniform(3).propagate([0.5, 0.5], 0.5), r"takes V = 3 values, got shape \(2,\)"),
        (lambda: Uniform(3).bridge(0, [0.5, 0.5], 0.9, 0.5), "takes V = 3"),
        (lambda: Uniform(3).nelbo(np.zeros((1, 1, 2)), [[0]], [[0]], 0.5, -1.0), "takes V = 3"),
        (lambda: Uniform(3).bridge_quantile([[0]], np.zeros((1, 1, 2)), 1, 0.5, [[0.5]]), "V = 3"),
        (lambda: DatasetIdeal([[0, 1]], 2, Uniform(3)), "the process has V = 3"),
        (lambda: posterior(np.zeros((1, 1, 2)), [[0]], 0.5, Uniform(3)), "the process has V = 3"),
        (lambda: Uniform(3).change([[0]], None), "rng must be a numpy.random.Generator"),
        (lambda: Uniform(3).noise((1, 1), 0), "rng must be a numpy.random.Generator"),
    ],
)
def test_another_size_gets_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        call()
    assert "\n" not in str(error.value)


# ---- nobody asks anything else -------------------------------------------------------------------


@dataclass(frozen=True)
class Hurried:
    """The uniform process at α²: whoever asks it gets what a squared schedule would give."""

    V: int

    @property
    def states(self):
        return self.V

    def __getattr__(self, name):
        """The question of that name, with every alpha squared and its derivative along."""
        asked = getattr(Uniform(self.V), name)
        place = {"kernel": 0, "prior": 0, "coefficients": 0, "corrupt": 1, "marginal": 1,
                 "propagate": 1, "inverse_temperature": 1, "noise": None, "conditioned": None,
                 "leave_one_out": None, "bridge": (2, 3), "bridge_quantile": (2, 3),
                 "mode_of_bridge": (2, 3), "nelbo": 3, "nelbo_grad": 3}[name]  # fmt: skip

        def answer(*given):
            given = list(given)
            if name in ("nelbo", "nelbo_grad", "coefficients"):
                given[place + 1] = 2 * np.asarray(given[place]) * given[place + 1]
            for k in np.atleast_1d([] if place is None else place).astype(int):
                given[k] = np.asarray(given[k]) ** 2
            return asked(*given)

        return answer


class Squared:
    """The schedule α²."""

    def __init__(self, schedule):
        self.schedule = schedule

    def alpha(self, t):
        return self.schedule.alpha(t) ** 2

    def dalpha(self, t):
        return 2 * self.schedule.alpha(t) * self.schedule.dalpha(t)


SLOW, FAST = Linear(), Squared(Linear())
HURRIED = Hurried(3)


def ideals(process=None):
    rng = np.random.default_rng(0)
    return [
        DatasetIdeal(rng.integers(3, size=(5, 4)), 3, process),
        MarkovIdeal(MarkovChain.random(3, rng), process),
        HierarchyIdeal(RandomHierarchy.random(3, 2, 2, 2, rng), process),
    ]


@given(kind=st.integers(0, 2), alpha=st.floats(0.01, 0.99), seed=strategies.seeds)
def test_ideals_and_posterior_ask_the_process_for_their_evidence(kind, alpha, seed):
    z = np.random.default_rng(seed).integers(3, size=(6, 4))
    hurried, plain = ideals(HURRIED)[kind](z, alpha), ideals()[kind](z, alpha**2)
    np.testing.assert_array_equal(hurried, plain)
    for call in (posterior, score_ratios):
        np.testing.assert_array_equal(call(hurried, z, alpha, HURRIED), call(plain, z, alpha**2))


def test_the_exact_bounds_are_those_of_the_process():
    law = np.random.default_rng(1).dirichlet(np.ones(81)).reshape((3,) * 4)
    hurried, plain = ideals(HURRIED)[1], ideals()[1]
    args = (law, FAST)
    assert exact_nelbo(hurried, law, SLOW, 10, HURRIED) == pytest.approx(
        exact_nelbo(plain, *args, 10), rel=1e-12
    )
    assert discrete_elbo(hurried, law, SLOW, 3, HURRIED) == pytest.approx(
        discrete_elbo(plain, *args, 3), rel=1e-12
    )


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_reverse_chain_and_the_probes_ask_the_process(kind):
    hurried, plain = ideals(HURRIED)[kind], ideals()[kind]
    x = np.random.default_rng(2).integers(3, size=(20, 4))

    def rng():
        return np.random.default_rng(3)

    same = np.testing.assert_array_equal
    same(
        restore(hurried, x, 0.7, SLOW, 9, rng(), process=HURRIED),
        restore(plain, x, 0.7, FAST, 9, rng()),
    )
    same(
        generate(hurried, 20, 4, 3, SLOW, 9, rng(), process=HURRIED),
        generate(plain, 20, 4, 3, FAST, 9, rng()),
    )
    same(
        fixed_points(hurried, x, 0.7, SLOW, 9, process=HURRIED),
        fixed_points(plain, x, 0.7, FAST, 9),
    )
    same(
        conditional_entropy(hurried, x, 0.6, process=HURRIED).posterior,
        conditional_entropy(plain, x, 0.6**2).posterior,
    )
    np.testing.assert_allclose(
        held_out_nelbo(hurried, x, 3, SLOW, rng(), process=HURRIED),
        held_out_nelbo(plain, x, 3, FAST, rng()),
        rtol=1e-12,
    )


def test_training_corrupts_by_the_process_and_learns_its_bound():
    """A fresh network answers the same at every noise level: the first losses are comparable."""
    x = np.random.default_rng(4).integers(3, size=(8, 4))
    config = TrainConfig(steps=1, batch=32, schedule=SLOW)

    def first(config, process=None):
        model = Transformer.init(ModelConfig(3, 4, 8, 1, 2), np.random.default_rng(5), np.float64)
        return train(model, x, config, process=process).losses[0]

    hurried, fast = first(config, HURRIED), first(replace(config, schedule=FAST))
    assert hurried == pytest.approx(fast, rel=1e-12)
    assert hurried != first(config)

"""What once broke, and must be refused or come out right: input that nobody means to give.

A test here is a crash, a wrong number or a lost line of the past. What compiled loops index with
was replaced, deleted, strided or too short; numbers were so small or so large that digits went.
"""

import copy
import pickle
from dataclasses import replace
from decimal import Decimal, getcontext

import numpy as np
import pytest

from hopfield import ContinuousMemory, DensityMemory, LogSumExp, TokenMemory
from hopfield.landscape import change
from hopfield.propagation import advanced, simple
from minuddm import DatasetIdeal, LogLinear, ModelConfig, TrainConfig, Transformer, Uniform, corrupt
from minuddm.ideal import HierarchyIdeal, MarkovIdeal
from minuddm.machine.integrand import checked
from minuddm.nelbo import nelbo, nelbo_grad
from minuddm.nelbo.integrand import Coefficients
from minuddm.probes import (
    NGram,
    alpha_of_capacity,
    channel_capacity,
    entropy,
    recovered_after,
    sampled,
    samples_needed,
)
from minuddm.probes.pooled_entropy import line, plug_in
from minuddm.reverse import generate, restore
from minuddm.sources import MarkovChain, RandomHierarchy
from minuddm.text import Corpus
from minuddm.weights import Weights, shapes

CONFIG = ModelConfig(5, 4, 8, 1, 2)


def rng():
    return np.random.default_rng(0)


# ---- what an object keeps -----------------------------------------------------------------------


def sealed():
    return [
        (Transformer.init(CONFIG, rng(), engine="numpy"), "config"),
        (Transformer.init(CONFIG, rng(), engine="numpy").weights, "flat"),
        (DatasetIdeal([[0, 1], [1, 1]], 2), "V"),
        (RandomHierarchy.random(4, 2, 2, 3, rng()), "L"),
        (TokenMemory([[0, 1], [1, 1]], 2), "V"),
        (MarkovIdeal(MarkovChain.random(3, rng())), "V"),
    ]


@pytest.mark.parametrize(("thing", "name"), sealed())
def test_no_attribute_is_replaced_or_deleted(thing, name):
    with pytest.raises(AttributeError, match=f"{name} of a .* cannot be replaced"):
        setattr(thing, name, copy.copy([getattr(thing, name)]))
    with pytest.raises(AttributeError, match=f"{name} of a .* cannot be deleted"):
        delattr(thing, name)


def arrays(value, name=""):
    """Every array that an object keeps, by its place, and whether it can be written into."""
    if isinstance(value, np.ndarray):
        return {name: value.flags.writeable}
    parts = enumerate(value) if isinstance(value, tuple | list) else vars(value).items()
    inside = (list, tuple, np.ndarray)
    return {k: v for key, part in parts if isinstance(part, inside)
            for k, v in arrays(part, f"{name}.{key}").items()}  # fmt: skip


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
@pytest.mark.parametrize(
    "thing",
    [
        TokenMemory([[0, 1, 2], [2, 1, 0]], 3),
        DensityMemory([[0.0, 1.0]], LogSumExp(1.0)),
        DatasetIdeal([[0, 1], [1, 1]], 2),
        MarkovChain.random(3, rng()),
        RandomHierarchy.random(4, 2, 2, 3, rng()),
    ],
)
def test_a_copy_is_sealed_as_the_original_is(thing, again):
    """A writeable array is another type to the compiler, and may be written into."""
    assert arrays(thing)
    assert arrays(again(thing)) == arrays(thing)


def test_frozen_values_keep_no_array_of_the_caller():
    beta, eps = np.array(1.0), np.array(1e-3)
    of_memory, schedule = LogSumExp(beta), LogLinear(eps)
    beta[...], eps[...] = 50, 0.9
    assert (of_memory.beta, schedule.eps) == (1.0, 1e-3)
    assert hash(of_memory) == hash(LogSumExp(1.0))
    assert type(TrainConfig(lr=np.float32(0.5)).lr) is float
    assert type(replace(CONFIG, dropout=np.float32(0.25)).dropout) is float


def test_a_corpus_is_its_own():
    given = np.zeros((4, 2), np.int32)
    corpus = Corpus(given, "ab", "x", "0")
    given[:] = 1
    assert (corpus.tokens == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        corpus.subset(2).tokens[:] = 1
    with pytest.raises(TypeError, match="seed must be an integer, got None"):
        corpus.split(1, None)


# ---- what compiled loops read -------------------------------------------------------------------


def test_weights_that_a_loop_cannot_read_are_refused():
    layout = shapes(CONFIG)
    size = Weights(layout).flat.size
    for flat in (np.zeros(2 * size, "f4")[::2], np.zeros(size + 1, "f4"), np.zeros(3, "f4")):
        with pytest.raises(ValueError, match="weights must lie side by side"):
            Weights(layout, flat=flat)
    for dtype in ("i8", "f2", ">f4", "c16"):
        with pytest.raises(TypeError, match="float32 or float64 of this machine"):
            Weights(layout, dtype)
    turned = Weights(dict(reversed(layout.items())))
    with pytest.raises(ValueError, match="in order"):
        Transformer(CONFIG, turned, "numpy")


class Short(Uniform):
    """A process that answers for one token a sequence."""

    def inverse_temperature(self, xt, alpha):
        return np.ones((len(xt), 1))


def test_a_process_that_answers_too_little_is_refused():
    chain, tree = MarkovChain.random(3, rng()), RandomHierarchy.random(3, 2, 2, 2, rng())
    for ideal in (MarkovIdeal(chain, Short(3)), HierarchyIdeal(tree, Short(3))):
        with pytest.raises(ValueError, match="one β ≥ 0 for each token"):
            ideal(np.zeros((2, 4), int), 0.5)
    with pytest.raises(ValueError, match=r"coefficients must have shape \(64,\)"):
        checked(Coefficients(*np.ones((3, 1))), 64)
    with pytest.raises(TypeError, match="no integrand is registered for tuple"):
        checked((np.ones(64),), 64)


# ---- numbers that were wrong --------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1e6, 1e8, 1.7e9])
def test_shifted_together_patterns_and_states_recall_the_same(offset):
    """Float64 holds such coordinates to 1e-7: energies, of slope 1 here, to 1e-6."""
    x = rng().normal(size=(6, 3))
    here, there = DensityMemory(x, LogSumExp(4.0)), DensityMemory(x + offset, LogSumExp(4.0))
    np.testing.assert_allclose(there.energy(x + offset + 0.1), here.energy(x + 0.1), atol=1e-6)
    back, wanted = there.recall(x + offset + 0.1).state - offset, here.recall(x + 0.1).state
    np.testing.assert_allclose(back, wanted, atol=1e-6)


@pytest.mark.parametrize(("beta", "size"), [(1.0, 1e10), (1e4, 1e8)])
def test_a_far_query_feels_the_pattern_in_its_direction(beta, size):
    x, q = rng().normal(size=(6, 3)), size * rng().normal(size=(100, 3))
    memory = ContinuousMemory(x, beta)
    np.testing.assert_allclose(memory.step(q), x[(q @ x.T).argmax(axis=1)], atol=1e-9)
    with pytest.raises(ValueError, match=r"states must be at most 1e\+150 in size"):
        memory.energy(np.full((1, 3), 1e155))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [1e-30, 1e-12])
def test_the_bound_is_finite_down_to_its_least_alpha(dtype, alpha):
    logits = rng().normal(size=(1, 2, 5)).astype(dtype)
    loss, gradient = nelbo_grad(logits, [[0, 1]], [[0, 2]], alpha, -1.0)
    assert (loss >= 0).all()
    assert (loss <= 1e3 * alpha).all()  # of the order of α
    assert np.isfinite(gradient).all()
    with pytest.raises(ValueError, match=r"the bound needs alpha in \[1e-30, 1\), got 1e-310"):
        nelbo(logits, [[0, 1]], [[0, 2]], 1e-310, -1.0)


def test_logits_are_no_conditionals():
    def denoiser(x, alpha):
        return np.full((*x.shape, 3), 900.0)

    with pytest.raises(ValueError, match="log-probabilities, at most 0, got 900"):
        restore(denoiser, [[2, 2, 2]], 0.5, LogLinear(), 4, rng(), process=Uniform(3))
    with pytest.raises(ValueError, match="log-probabilities, at most 0, got 5"):
        entropy([5.0, 5.0])


def test_no_information_is_negative():
    """With α → 0 the capacity is (V - 1) α²/2, to order V α; α is known to 1e-16 beside 1."""
    for V, alpha in ((100, 1e-10), (2, 1e-8), (5, 1e-5)):
        wanted = (V - 1) * alpha**2 / 2
        assert Uniform(V).prior(alpha) == pytest.approx(wanted, rel=V * alpha, abs=0)
        near = V * alpha + 1e-15 / alpha
        assert channel_capacity(Uniform(V), alpha) == pytest.approx(wanted, rel=near, abs=0)
    for capacity in (1e-16, 1e-18):
        wanted = np.sqrt(2 * capacity / 4)
        assert alpha_of_capacity(Uniform(5), capacity) == pytest.approx(wanted, rel=1e-5, abs=0)


def test_attention_has_weights_where_all_of_them_underflow():
    keys, values = [[-15.0, -15.0], [-20.0, -20.0]], [[1.0], [2.0]]
    assert advanced([[30.0, 30.0]], keys, values) == pytest.approx(1.0)
    # f = 1 - 1 and 1 + 0
    assert simple([[1e200, 0]], [[-1e200, 0], [0, 1.0]], values) == pytest.approx(2.0)


@pytest.mark.parametrize("chance", [1e-12, 1e-13, 1e-15, 0.25, 0.5])
def test_the_least_number_of_samples_is_exact(chance):
    getcontext().prec = 60
    n, c = int(samples_needed(chance)), Decimal(chance)

    def missed(k):
        return (1 - c) ** k

    slack = Decimal(2) ** -50  # n itself is a float64 of a quotient of logarithms
    assert missed(n) <= Decimal("0.5") * (1 + slack)
    assert missed(n - 1) > Decimal("0.5") * (1 - slack)


# ---- one clear line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrupt([[0], [1]], np.array([0.5 + 3j, 0.5]), 2, rng()), "real numbers"),
        (lambda: corrupt([[0], [1]], "1e-3", 2, rng()), "real numbers"),
        (lambda: LogSumExp("1"), "beta must be a real number, got '1'"),
        (lambda: LogSumExp(10**400), "beta must be positive and finite, got 1000"),
        (lambda: LogLinear(None), "eps must be a real number, got None"),
        (lambda: TrainConfig(beta2=1 - 1e-9), "beta2 must be below 1 in float32"),
        (lambda: change([[7, 9]], 1, np.arange(4), rng()), "states must have the values"),
        (lambda: plug_in([1e308, 1e308]), "as their sums over values"),
        (lambda: sampled(DatasetIdeal([[0, 1]], 2), np.zeros((0, 2), int), 2, LogLinear(), 2,
                         rng()), "z must not be empty"),
        (lambda: recovered_after(DatasetIdeal([[0, 1]], 2), [[0, 1]], 2, [1.5], LogLinear(), 2,
                                 rng()), "changed must be an integer, got 1.5"),
        (lambda: generate(DatasetIdeal([[0, 1]], 2), 10**15, 2, 2, LogLinear(), 2, rng()),
         "1,000,000,000,000,000 sequences of 2 tokens would take"),
        (lambda: restore(DatasetIdeal([[0, 1]], 2), [[0, 1]], 0.5, LogLinear(), 10**15, rng()),
         "a chain of 1,000,000,000,000,000 steps would take"),
    ],
)  # fmt: skip
def test_what_nobody_means_gets_one_line_that_names_it(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_what_cannot_be_said_is_nan_and_no_crash():
    assert np.isnan(line([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).slope.value)
    few = NGram(rng().integers(2, size=(5, 3)), 2, order=5)
    assert np.isfinite(few.log_prob([[0, 1, 0]])).all()
    narrow = change(np.array([[1, 1]], np.uint8), 1, [-1, 1], rng())
    assert sorted(narrow.ravel().tolist()) == [-1, 1]

"""Every public function of the diffusion side answers a wrong argument in one line that names it.

Wrong values are those of the parameter's kind (`tests/kinds.py`).
"""

from dataclasses import replace

import numpy as np
import pytest

from minuddm import probes
from minuddm.denoiser import posterior, score_ratios
from minuddm.ideal import DatasetIdeal
from minuddm.nelbo import discrete_elbo, enumerate_law, exact_nelbo, nelbo, prior
from minuddm.nelbo.times import stratified_times
from minuddm.probes import (
    Curve,
    NGram,
    basin_radius,
    bootstrap_mean,
    chance_at_least,
    class_means,
    conditional_entropy,
    copies,
    curves_cross,
    curves_meet,
    generated_law,
    held_out_nelbo,
    path_weights,
    plateau_left,
    pools,
    sampled,
    threshold,
    trends,
)
from minuddm.probes.stability import random_sequences
from minuddm.probes.transition import falls_below
from minuddm.process import Uniform
from minuddm.reverse import generate, restore
from minuddm.schedule import Linear
from minuddm.sources import MarkovChain, RandomHierarchy
from minuddm.text import Corpus
from minuddm.train import TrainConfig, train
from minuddm.transformer import Transformer
from minuddm.transition import bridge, bridge_quantile, corrupt, marginal, sample_bridge, transition
from minuddm.weights import ModelConfig
from tests import kinds
from tests.kinds import LOG_P, X

SCHEDULE = Linear()
MEMORY = DatasetIdeal(X, 3)
CHAIN = MarkovChain(np.full((3, 3), 1 / 3))
TREE = RandomHierarchy.random(3, 2, 2, 2, np.random.default_rng(0))
CONFIG, SIZE = TrainConfig(steps=1, batch=2), ModelConfig(3, 3, 8, 1, 2)
MODEL = Transformer.init(SIZE, np.random.default_rng(0), engine="numpy")
CURVE = Curve([1, 2], [np.ones(3)] * 2, [np.zeros(3)] * 2)
THREE = np.arange(18).reshape(6, 3) % 3, [0, 0, 1, 1, 2, 2]  # levels of two sequences
CORPUS = Corpus(np.eye(4, dtype=np.int32), "ab", "made up", "")


def rng():
    return np.random.default_rng(0)


CALLS = {  # kind: (parameter, call with it)
    "generator": [
        ("rng", lambda v: corrupt(X, 0.5, 3, v)),
        ("rng", lambda v: sample_bridge(X, LOG_P, 0.9, 0.5, v)),
        ("rng", lambda v: Uniform(3).change(X, v)),
        ("rng", lambda v: Uniform(3).noise((1, 2), v)),
        ("rng", lambda v: restore(MEMORY, X, 0.5, SCHEDULE, 2, v)),
        ("rng", lambda v: generate(MEMORY, 1, 3, 3, SCHEDULE, 2, v)),
        ("rng", lambda v: MarkovChain.random(3, v)),
        ("rng", lambda v: CHAIN.sample(1, 2, v)),
        ("rng", lambda v: RandomHierarchy.random(3, 2, 2, 2, v)),
        ("rng", lambda v: TREE.sample(1, v)),
        ("rng", lambda v: stratified_times(3, 0.1, v)),
        ("rng", lambda v: held_out_nelbo(MEMORY, X, 3, SCHEDULE, v)),
        ("rng", lambda v: basin_radius(MEMORY, X, 3, SCHEDULE, 2, v)),
        ("rng", lambda v: random_sequences(1, 2, 3, v)),
        ("rng", lambda v: bootstrap_mean([1.0], v)),
        ("rng", lambda v: sampled(MEMORY, X, 3, SCHEDULE, 2, v)),
        ("rng", lambda v: path_weights(MEMORY, X, 3, SCHEDULE, 2, v)),
        ("rng", lambda v: pools(np.tile(X, (2, 1)), [0] * 4, 3, v, least=2)),
        ("rng", lambda v: plateau_left(CURVE, v, 5)),
        ("rng", lambda v: curves_meet(CURVE, v, 5)),
        ("rng", lambda v: Transformer.init(SIZE, v, engine="numpy")),
    ],
    "count": [
        ("steps", lambda v: restore(MEMORY, X, 0.5, SCHEDULE, v, rng())),
        ("batch", lambda v: restore(MEMORY, X, 0.5, SCHEDULE, 2, rng(), batch=v)),
        ("threads", lambda v: restore(MEMORY, X, 0.5, SCHEDULE, 2, rng(), threads=v)),
        ("n", lambda v: generate(MEMORY, v, 3, 3, SCHEDULE, 2, rng())),
        (
            "L",
            lambda v: generate(lambda z, _: np.zeros((*z.shape, 3)), 1, v, 3, SCHEDULE, 2, rng()),
        ),
        ("n", lambda v: CHAIN.sample(v, 2, rng())),
        ("L", lambda v: CHAIN.sample(1, v, rng())),
        ("L", lambda v: CHAIN.entropy(v)),
        ("rules", lambda v: RandomHierarchy.random(3, v, 2, 2, rng())),
        ("depth", lambda v: RandomHierarchy.random(3, 2, 2, v, rng())),
        ("n", lambda v: TREE.sample(v, rng())),
        ("n", lambda v: stratified_times(v, 0.1, rng())),
        ("draws", lambda v: held_out_nelbo(MEMORY, X, 3, SCHEDULE, rng(), draws=v)),
        ("batch", lambda v: held_out_nelbo(MEMORY, X, 3, SCHEDULE, rng(), batch=v)),
        ("batch", lambda v: conditional_entropy(MEMORY, X, 0.5, batch=v)),
        ("trials", lambda v: basin_radius(MEMORY, X, 3, SCHEDULE, 2, rng(), trials=v)),
        ("n", lambda v: random_sequences(v, 2, 3, rng())),
        ("draws", lambda v: bootstrap_mean([1.0], rng(), v)),
        ("draws", lambda v: plateau_left(CURVE, rng(), v)),
        ("order", lambda v: NGram(X, 3, v)),
        ("n", lambda v: sampled(MEMORY, X, 3, SCHEDULE, 2, rng(), n=v)),
        ("draws", lambda v: path_weights(MEMORY, X, 3, SCHEDULE, 2, rng(), draws=v)),
        ("steps", lambda v: generated_law(MEMORY, 3, 3, SCHEDULE, v)),
        ("least", lambda v: pools(X, [0, 1], 3, rng(), least=v)),
        ("repeats", lambda v: pools(X, [0, 1], 3, rng(), repeats=v)),
        ("permutations", lambda v: trends(*THREE, 3, rng(), 2, 1, v)),
        ("L", lambda v: chance_at_least(1.0, v)),
        ("points", lambda v: exact_nelbo(MEMORY, np.full((3,) * 3, 1 / 27), SCHEDULE, v)),
        ("steps", lambda v: discrete_elbo(MEMORY, np.full((3,) * 3, 1 / 27), SCHEDULE, v)),
        ("L", lambda v: enumerate_law(CHAIN, 3, v)),
        ("every", lambda v: train(MODEL, X, CONFIG, every=v)),
        ("threads", lambda v: train(MODEL, X, CONFIG, threads=v)),
        *[(name, lambda v, name=name: replace(CONFIG, **{name: v})) for name in ("steps", "batch")],
        *[(name, lambda v, name=name: replace(SIZE, **{name: v})) for name in ("length", "blocks")],
        ("test", lambda v: CORPUS.split(v, 0)),
        ("P", lambda v: CORPUS.subset(v)),
    ],
    "vocabulary": [
        ("V", Uniform),
        ("V", lambda v: transition(0.5, v)),
        ("V", lambda v: marginal(0, 0.5, v)),
        ("V", lambda v: corrupt(X, 0.5, v, rng())),
        ("V", lambda v: prior(SCHEDULE, v)),
        ("V", lambda v: DatasetIdeal([[0, 1]], v)),
        ("V", lambda v: generate(MEMORY, 1, 3, v, SCHEDULE, 2, rng())),
        ("V", lambda v: held_out_nelbo(MEMORY, X, v, SCHEDULE, rng())),
        ("V", lambda v: NGram([[0, 1]], v, 1)),
        ("V", lambda v: path_weights(MEMORY, X, v, SCHEDULE, 2, rng())),
        ("V", lambda v: pools(X, [0, 1], v, rng())),
        ("V", lambda v: MarkovChain.random(v, rng())),
    ],
    "fraction": [
        ("chance", lambda v: threshold(X, X, v)),
        ("t_min", lambda v: stratified_times(3, v, rng())),
        *[
            (name, lambda v, name=name: replace(CONFIG, **{name: v}))
            for name in ("beta1", "average")
        ],
    ],
    "share": [
        ("within", lambda v: copies(X, X, v)),
        ("theta", lambda v: probes.kinds(X, X, X, v)),
        ("within", lambda v: sampled(MEMORY, X, 3, SCHEDULE, 2, rng(), within=v)),
        ("repaired", lambda v: basin_radius(MEMORY, X, 3, SCHEDULE, 2, rng(), repaired=v)),
    ],
    "chance": [
        ("alpha", lambda v: corrupt(X, v, 3, rng())),
        ("alpha_ts", lambda v: transition(v, 3)),
        ("alpha", lambda v: MEMORY(X, v)),
        ("alpha", lambda v: MODEL(X, v)),
        ("alpha", lambda v: Uniform(3).prior(v)),
        ("alpha_s", lambda v: bridge(0, [0.5, 0.5], v, 0.0)),
        ("t", lambda v: restore(MEMORY, X, v, SCHEDULE, 2, rng())),
        ("t", SCHEDULE.alpha),
    ],
    "positive": [
        ("concentration", lambda v: MarkovChain.random(3, rng(), v)),
        *[(name, lambda v, name=name: replace(CONFIG, **{name: v})) for name in ("lr", "clip")],
    ],
    "tokens": [
        ("x0", lambda v: corrupt(v, 0.5, 3, rng())),
        ("xt", lambda v: sample_bridge(v, LOG_P, 0.9, 0.5, rng())),
        ("patterns", lambda v: DatasetIdeal(v, 3)),
        ("tokens", lambda v: MEMORY(v, 0.5)),
        ("tokens", lambda v: MODEL(v, 0.5)),
        ("tokens", lambda v: train(MODEL, v, CONFIG)),
        ("xt", lambda v: nelbo(LOG_P, X, v, 0.5, -1.0)),
        ("x", lambda v: CHAIN.log_prob(v)),
        ("x0", lambda v: held_out_nelbo(MEMORY, v, 3, SCHEDULE, rng())),
        ("z", lambda v: sampled(MEMORY, v, 3, SCHEDULE, 2, rng())),
        ("z", lambda v: path_weights(MEMORY, v, 3, SCHEDULE, 2, rng())),
        ("tokens", lambda v: pools(v, [0, 1], 3, rng())),
    ],
    "log_p": [
        ("log_p", lambda v: sample_bridge(X, v, 0.9, 0.5, rng())),
        ("log_p", lambda v: posterior(v, X, 0.5)),
        ("log_p", lambda v: score_ratios(v, X, 0.5)),
        ("logits", lambda v: nelbo(v, X, X, 0.5, -1.0)),
    ],
    "uniforms": [("u", lambda v: bridge_quantile(X, LOG_P, 0.9, 0.5, v))],
    "sequences": [
        ("P", lambda v: plateau_left(CURVE._replace(sequences=v), rng(), 5)),
        ("P", lambda v: curves_cross(v, [np.ones(3)] * 2, [np.zeros(3)] * 2, rng(), 5)),
    ],
}


@pytest.mark.parametrize(("name", "call", "value"), kinds.wrong(CALLS))
def test_a_wrong_argument_gets_one_line_that_names_it(name, call, value):
    kinds.refuses(name, call, value)


def test_right_arguments_are_taken():
    kinds.takes(CALLS)


def test_other_ways_to_write_a_number_are_taken():
    """Big-endian files, NumPy's integers, lists: the values count."""
    same = np.testing.assert_array_equal
    same(posterior(LOG_P.astype(">f8"), X.astype(">i4"), 0.5), posterior(LOG_P, X, 0.5))
    same(MEMORY(X.tolist(), np.float32(0.5)), MEMORY(X, 0.5))
    assert Uniform(np.uint8(3)) == Uniform(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: falls_below([1, 2], [1, 0], np.nan), "level must be finite"),
        (lambda: class_means([[0, 1]], [[1.0]]), r"values must have the shape \(B, L\) \(1, 2\)"),
        (lambda: threshold(X[:0], X), "held_out must hold"),
        (lambda: NGram([[0]], 3, 10**9), r"V\^order must be at most"),
        (lambda: TrainConfig(seed=2**64), r"seed must be below 2\^64"),
        (lambda: exact_nelbo(MEMORY, np.full((3,) * 3, 1 / 27), SCHEDULE, 201), "at most 200"),
    ],
)
def test_what_only_one_function_asks_gets_its_line_too(call, message):
    with pytest.raises(ValueError, match=message):
        call()

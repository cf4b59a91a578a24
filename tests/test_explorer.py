"""What the page shows is what the packages compute; what it asks is checked as they check."""

import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.explorer import messages
from experiments.explorer.runs import Subject, corrupted, log_chance, restorings
from experiments.kit.draws import generator
from experiments.kit.settings import SCHEDULE
from hopfield import TokenMemory
from minuddm import (
    Absorbing,
    DatasetIdeal,
    ModelConfig,
    Transformer,
    Uniform,
    inverse_temperature,
    restore,
)
from minuddm.probes import conditional_entropy, entropy, held_out_nelbo
from minuddm.reverse import T_END, time_grid
from tests import strategies

GRID, T, SEED = 8, 0.5, 3
ALPHABET = "abc <"
SEQUENCES = np.random.default_rng(0).integers(5, size=(9, 6)).astype(np.int32)


def subject(process):
    config = ModelConfig(5, 6, width=8, blocks=1, heads=2, cond=8, states=process.states)
    network = Transformer.init(config, np.random.default_rng(0), engine="numpy")
    return Subject("P = 6", network, process, ALPHABET, SEQUENCES[:6], SEQUENCES[6:])


UNIFORM, MASKED = subject(Uniform(5)), subject(Absorbing(5))
ALONE = Subject("alone", UNIFORM.network, UNIFORM.process, ALPHABET)  # with no sequences


# ---- what is restored ---------------------------------------------------------------------------


@pytest.mark.parametrize("who", [UNIFORM, MASKED], ids=["uniform", "masked"])
@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_a_chain_ends_where_restore_ends_and_passes_the_points_of_its_grid(who, t):
    xt = corrupted(who, SEQUENCES[7], t, SEED)
    denoisers = {"network": who.network,
                 "dataset_ideal": DatasetIdeal(who.training, 5, who.process)}  # fmt: skip
    found = {one.model: one for one in restorings(who, xt, t, GRID, SEED)}
    for model, denoiser in denoisers.items():
        chance = generator(SEED, "restore")
        end = restore(denoiser, xt[None], t, SCHEDULE, GRID, chance, process=who.process)
        np.testing.assert_array_equal(found[model].tokens[[0, -1]], [xt, end[0]])
        np.testing.assert_array_equal(found[model].times, [*time_grid(t, GRID), 0])


@pytest.mark.parametrize("who", [UNIFORM, MASKED], ids=["uniform", "masked"])
def test_the_entropies_are_those_of_the_instrument(who):
    xt = corrupted(who, SEQUENCES[7], T, SEED)
    for one in restorings(who, xt, T, GRID, SEED)[:2]:
        ideal = DatasetIdeal(who.training, 5, who.process)
        denoiser = who.network if one.model == "network" else ideal
        for time, z, H in zip(one.times, one.tokens, one.entropy, strict=True):
            alpha = float(SCHEDULE.alpha(max(time, T_END)))
            wanted = conditional_entropy(denoiser, z[None], alpha, process=who.process).loo
            np.testing.assert_allclose(H, wanted[0], rtol=0, atol=1e-6)  # float32, other batches


@given(case=strategies.patterns_and_query(), t=st.floats(0.01, 1), seed=strategies.seeds)
def test_site_by_site_the_memory_goes_where_recall_goes(case, t, seed):
    patterns, z, V = case
    L, beta = len(z), float(inverse_temperature(SCHEDULE.alpha(t), V))
    network = Transformer.init(ModelConfig(V, L, width=4, blocks=1, heads=2, cond=2),
                               np.random.default_rng(0), engine="numpy")  # fmt: skip
    who = Subject("", network, Uniform(V), "", patterns.astype(np.int32))
    memory, ideal = TokenMemory(patterns, V, beta), DatasetIdeal(patterns, V)
    one = restorings(who, z.astype(np.int32), t, 1, seed)[-1]
    np.testing.assert_array_equal(one.tokens[-1], memory.recall(z[None]).state[0])
    assert (one.tokens[1:] != one.tokens[:-1]).sum(axis=1).tolist() == [1] * (len(one.tokens) - 1)
    assert (np.diff(one.cost) < 0).all()
    # a bath at β_t is α p + (1 - α)/V [T16], which gives p up to rounding over α
    wanted = entropy(ideal(one.tokens, np.full(len(one.tokens), SCHEDULE.alpha(t))))
    np.testing.assert_allclose(one.entropy, wanted, rtol=0, atol=1e-9)


@given(case=strategies.patterns_and_query(), alpha=strategies.inner_alphas)
def test_the_chance_of_a_state_is_the_boltzmann_law_of_the_memory(case, alpha):
    patterns, z, V = case
    P, L = patterns.shape
    beta = float(inverse_temperature(alpha, V))
    E = TokenMemory(patterns, V, beta).energy(z[None])[0]
    wanted = -beta * E - np.log(P) + L * np.log((1 - alpha) / V)  # [T16]
    assert log_chance(patterns, Uniform(V), z, alpha) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_the_chance_of_a_masked_state_counts_the_patterns_that_fit():
    patterns = np.array([[0, 1, 2], [0, 2, 2], [1, 1, 2]])
    for z, fit, visible in [([0, 3, 2], 2, 2), ([3, 3, 3], 3, 0), ([0, 1, 2], 1, 3)]:
        wanted = np.log(fit / 3) + visible * np.log(0.7) + (3 - visible) * np.log(0.3)  # [T39]
        assert log_chance(patterns, Absorbing(3), np.array(z), 0.7) == pytest.approx(wanted)
    assert log_chance(patterns, Absorbing(3), np.array([2, 3, 3]), 0.7) == -np.inf


def test_what_is_masked_has_no_bound_and_the_rest_has_the_instruments():
    for who in (UNIFORM, MASKED):
        xt = corrupted(who, SEQUENCES[7], 0.9, SEED)
        one = restorings(who, xt, 0.9, GRID, SEED)[0]
        np.testing.assert_array_equal(np.isnan(one.cost), (one.tokens == 5).any(axis=1))
        copies = np.repeat(one.tokens[-1:], 4096, axis=0)
        bounds = held_out_nelbo(who.network, copies, 5, SCHEDULE, generator(0, "many"),
                                draws=1, process=who.process)  # fmt: skip
        # 64 stratified draws: no worse than independent ones; five standard errors, 6e-7
        assert abs(one.cost[-1] - bounds.mean()) < 5 * bounds.std() / 8
    assert [one.model for one in restorings(MASKED, xt, 0.9, GRID, SEED)] == [
        "network", "dataset_ideal"
    ]  # fmt: skip


def test_a_network_without_sequences_is_shown_alone():
    xt = corrupted(ALONE, SEQUENCES[0], T, SEED)
    found = restorings(ALONE, xt, T, GRID, SEED)
    assert [one.model for one in found] == ["network"]
    np.testing.assert_array_equal(found[0].tokens, restorings(UNIFORM, xt, T, GRID, SEED)[0].tokens)


# ---- what is asked ------------------------------------------------------------------------------

RIGHT = {"run": 0, "clean": [0, 1, 2, 3, 4, 0], "shown": None, "t": 0.5, "seed": 1}
answer = partial(messages.answer, subjects=[UNIFORM, MASKED, ALONE], grid=GRID)


def test_an_answer_is_the_same_for_the_same_question_and_says_what_was_restored():
    told = answer(RIGHT)
    assert told == answer(json.loads(json.dumps(RIGHT)))
    shown = corrupted(UNIFORM, np.array(RIGHT["clean"], np.int32), 0.5, 1)
    assert told["shown"] == shown.tolist()
    for one, wanted in zip(told["restorings"], restorings(UNIFORM, shown, 0.5, GRID, 1),
                           strict=True):  # fmt: skip
        assert one["tokens"] == wanted.tokens.tolist()
        np.testing.assert_allclose(one["entropy"], wanted.entropy, rtol=0, atol=5.1e-4)
    assert answer(RIGHT | {"shown": told["shown"]}) == told
    assert answer(RIGHT | {"run": 1, "shown": [5] * 6})["shown"] == [5] * 6  # MASK


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"clean": [0, 1, 2, 3, 4, 5]}, "clean must lie in 0 … 4, got 5"),
        ({"clean": [0, -1, 2, 3, 4, 4]}, "clean must lie in 0 … 4, got -1"),
        ({"clean": [0, 1, 2]}, "clean must have length 6, got 3"),
        ({"clean": [0, 1, 2, 3, 4, 0.0]}, "clean must be a list of whole numbers"),
        ({"clean": [True] * 6}, "clean must be a list of whole numbers"),
        ({"clean": [[0]] * 6}, "clean must be a list of whole numbers"),
        ({"clean": "abcabc"}, "clean must be a list of whole numbers, got 'abcabc'"),
        ({"clean": [10**30] * 6}, "clean must lie in 0 … 4"),
        ({"clean": []}, "clean must have length 6, got 0"),
        ({"shown": [5] * 6}, "shown must lie in 0 … 4, got 5"),
        ({"shown": [6] * 6, "run": 1}, "shown must lie in 0 … 5, got 6"),
        ({"shown": {}}, "shown must be a list of whole numbers, got {}"),
        *[({"t": t}, "t must lie in [0.001, 1], got") for t in
          (0, -0.1, 1.1, float("nan"), float("inf"), "0.5", None, True, [0.5])],
        ({"run": 3}, "run must lie in 0 … 2, got 3"),
        ({"run": -1}, "run must be at least 0"),
        ({"run": "0"}, "run must be an integer"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 2**53}, "seed must be below 2^53"),
        ({"seed": None}, "seed must be an integer"),
        ({"more": 1}, "a request is an object of run, clean, shown, t, seed, got"),
    ],
)  # fmt: skip
def test_a_wrong_question_gets_one_line_that_names_the_value(change, line):
    with pytest.raises((TypeError, ValueError)) as raised:
        answer(RIGHT | change)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 160


@pytest.mark.parametrize("request_", [None, [], "run", 3, {}])
def test_what_is_no_question_is_refused(request_):
    with pytest.raises(ValueError, match="a request is an object of run, clean, shown, t, seed"):
        answer(request_)

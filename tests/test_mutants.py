"""The laws bite: objects with one planted fault each, and the law that must name it."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from hopfield import BinaryMemory, ContinuousMemory, TokenMemory, hebbian
from minuddm.denoiser import posterior
from minuddm.ideal import DatasetIdeal
from minuddm.laws import DENOISERS, ENERGIES, KERNELS, SCHEDULES, Denoising, Storing, laws_for
from tests import oracle
from tests.mutants import OF_KERNELS, OF_SCHEDULES, Mutant, U

# ---- denoisers -----------------------------------------------------------------------------------

PATTERNS = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 0], [1, 1, 2]])
SOUND, ONCE = DatasetIdeal(PATTERNS, 3), DatasetIdeal(PATTERNS[1:], 3)
LAW = oracle.dataset_law(PATTERNS, 3).reshape(3, 3, 3)


def denoising(answer):
    return Denoising(answer, 3, 3, law=LAW, process=U)


def less_the_mean(x, alpha):
    log_p = SOUND(x, alpha * 0.9)
    finite = np.where(np.isfinite(log_p), log_p, -30)
    return log_softmax(finite - finite.mean(axis=0), axis=-1)


OF_DENOISERS = [
    ("normalised", "over positions",
     lambda x, alpha: log_softmax(np.maximum(SOUND(x, alpha), -30), axis=1)),
    ("blind_to_its_own_position", "the posterior",
     lambda x, alpha: posterior(SOUND(x, alpha * 0.9), x, alpha * 0.9)),
    ("independent_of_the_batch", "less the mean of the batch", less_the_mean),
    ("independent_of_the_batch", "one alpha for all", lambda x, alpha: SOUND(x, alpha[0])),
    ("enumeration", "α² for α", lambda x, alpha: SOUND(x, alpha**2)),
    ("enumeration", "a repeated pattern counts once", lambda x, alpha: ONCE(x, alpha)),
    ("enumeration", "positions reversed", lambda x, alpha: SOUND(x[:, ::-1], alpha)),
]  # fmt: skip

# ---- energies ------------------------------------------------------------------------------------


def mutants(store, values=(-1, 1), **faults):
    return Storing(lambda patterns: Mutant(store(patterns), **faults), values)


def flipped(x, sites, to):
    y = x.copy()
    y[:, sites] = to
    return y


def by_sign(k, x, i):
    return flipped(x, i, np.where(k.fields(x)[:, i] < 0, -1, 1))


def with_diagonal(patterns):
    """Hebb's rule, but a spin hears itself."""
    W = patterns.T.astype(float) @ patterns / patterns.shape[1]
    return Mutant(
        hebbian(patterns),
        step=lambda k, x, i: flipped(
            x, i, np.where((x @ W)[:, i] * x[:, i] < 0, -x[:, i], x[:, i])
        ),
    )


def all_at_once(k, x, rng, beta):
    return np.where(rng.random(x.shape) < k.conditionals(x, beta), 1, -1)


def least_certain(k, x, rng, beta):
    """Draws the one site whose odds are nearest to even."""
    p, rows = k.conditionals(x, beta), np.arange(len(x))
    site = np.abs(p - 0.5).argmin(axis=1)
    y = x.copy()
    y[rows, site] = np.where(rng.random(len(x)) < p[rows, site], 1, -1)
    return y


def weighted(patterns):
    weights = 1 + np.arange(len(patterns))
    return Mutant(BinaryMemory(patterns), energy=lambda k, x: -((x @ patterns.T) ** 2) @ weights)


OF_ENERGIES = [
    ("updates_descend", "uphill", mutants(BinaryMemory, step=lambda k, x, i: flipped(
        x, i, -k.step(x, i)[:, i]))),
    ("updates_descend", "two sites", mutants(BinaryMemory, step=lambda k, x, i: k.step(
        k.step(x, i), 0))),
    ("updates_are_optimal", "the diagonal left in", Storing(with_diagonal, [-1, 1])),
    ("updates_are_optimal", "never moves", mutants(BinaryMemory, step=lambda k, x, i: x)),
    ("ties_stay", "sign(0) is up", Storing(lambda xi: Mutant(hebbian(xi), step=by_sign), [-1, 1])),
    ("recall_descends", "all sites at once",
     mutants(BinaryMemory, recall=lambda k, x: k.recall(x, synchronous=True).state)),
    ("recall_descends", "½ missing", mutants(
        ContinuousMemory, None, recall=lambda k, x: k.recall(x).state,
        energy=lambda k, x: k.energy(x) + 0.5 * (x**2).sum(axis=1))),
    ("fixed_points_are_optimal", "one sweep", mutants(
        BinaryMemory, recall=lambda k, x: k.recall(x, max_sweeps=1).state)),
    ("fixed_points_are_optimal", "the start", mutants(BinaryMemory, recall=lambda k, x: x)),
    ("reversible_heat_bath", "½ missing", mutants(hebbian, energy=lambda k, x: 2 * k.energy(x))),
    ("reversible_heat_bath", "the logistic of the field once",
     mutants(hebbian, conditionals=lambda k, x, beta: expit(beta * k.fields(x)))),
    ("reversible_heat_bath", "its own temperature",
     mutants(lambda xi: TokenMemory(xi, 3, 2.0), range(3),
             conditionals=lambda k, x, beta: k.conditionals(x))),
    ("invariant_heat_bath", "all sites at once", mutants(hebbian, heat_bath=all_at_once)),
    ("invariant_heat_bath", "site chosen by margin", mutants(hebbian, heat_bath=least_certain)),
    ("symmetric_in_its_patterns", "later patterns weigh more", Storing(weighted, [-1, 1])),
]  # fmt: skip

MUTANTS = [
    *OF_KERNELS,
    *OF_SCHEDULES,
    *[(law, fault, denoising(answer)) for law, fault, answer in OF_DENOISERS],
    *OF_ENERGIES,
]


@pytest.mark.parametrize(
    ("law", "mutant"),
    [pytest.param(law, mutant, id=f"{law}-{fault}") for law, fault, mutant in MUTANTS],
)
def test_a_fault_is_caught_by_the_law_that_names_it(law, mutant):
    [asked] = [known for known in laws_for(mutant) if known.name == law]
    try:
        asked(mutant)
    except AssertionError as error:
        assert f"{law} {asked.label}: {asked.statement}" in error.__notes__[-1]
    except pytest.skip.Exception as skipped:
        pytest.fail(f"not asked: {skipped}")
    else:
        pytest.fail("not caught")


def test_every_law_has_caught_something():
    caught = {law for law, _, _ in MUTANTS}
    assert caught == {law.name for law in KERNELS + SCHEDULES + DENOISERS + ENERGIES}
    assert len(MUTANTS) >= 30

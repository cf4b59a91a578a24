"""Every public function of the energy side answers a wrong argument in one line that names it.

Wrong values are those of the parameter's kind (`tests/kinds.py`).
"""

import numpy as np
import pytest

from hopfield import (
    BinaryMemory,
    ContinuousMemory,
    Couplings,
    DensityMemory,
    LogSumExp,
    LogSumReLU,
    Power,
    Propagation,
    PseudoLikelihood,
    TokenMemory,
    TokenPseudoLikelihood,
    hebbian,
)
from hopfield.landscape import (
    CapacityCurve,
    Damage,
    basin_radius,
    capacity,
    census,
    change,
    log_volume,
    repaired,
)
from hopfield.propagation import SIMPLE, advanced, gaussian, inverse, simple, truncated
from hopfield.pseudolikelihood import gardner_load, gardner_margin, repaired_share
from tests import kinds

SPINS, VALUES = np.array([[1, -1, 1], [1, 1, -1]], np.int8), np.array([-1, 1])
BINARY, TOKEN = BinaryMemory(SPINS), TokenMemory([[0, 1, 2]], 3)
COUPLED = hebbian(SPINS)
LINEAR = TokenPseudoLikelihood(np.zeros((3, 3, 3, 3)), np.zeros((3, 3)))
POINTS = ContinuousMemory([[0.5, 1.0]])
NODES, TWO = Propagation(SIMPLE), [[0.0], [1.0]]
CURVE = CapacityCurve.of([0.1, 0.2], [[0.9, 1.0], [0.5, 0.6]])


def rng():
    return np.random.default_rng(0)


def loads(rng, sizes=(2,), changed=0, sets=2, probed=2):
    """`capacity` of Hebb's couplings with one argument to choose."""
    return capacity(
        hebbian, lambda P, rng: rng.choice(VALUES, size=(P, 6)), sizes, 6, rng,
        changed=changed, sets=sets, probed=probed,
    )  # fmt: skip


CALLS = {  # kind: (parameter, call with it)
    "generator": [
        ("rng", lambda v: BINARY.heat_bath(SPINS, v)),
        ("rng", lambda v: TOKEN.heat_bath([[0, 1, 2]], v)),
        ("rng", lambda v: COUPLED.heat_bath(SPINS, v)),
        ("rng", lambda v: change(SPINS, 1, VALUES, v)),
        ("rng", lambda v: Damage(SPINS, VALUES, v)),
        ("rng", lambda v: repaired(BINARY, SPINS, 1, v)),
        ("rng", lambda v: basin_radius(BINARY, SPINS, v)),
        ("rng", lambda v: log_volume(BINARY, SPINS[0], v)),
        ("rng", lambda v: census(BINARY, SPINS, SPINS, v)),
        ("rng", loads),
        ("rng", lambda v: CURVE.falls_through(0.8, v)),
        ("rng", lambda v: CURVE.replicates(0.8, v)),
    ],
    "generator or None": [
        ("rng", lambda v: BINARY.recall(SPINS, rng=v)),
        ("rng", lambda v: TOKEN.recall([[0, 1, 2]], rng=v)),
        ("rng", lambda v: COUPLED.recall(SPINS, rng=v)),
        ("rng", lambda v: LINEAR.recall([[0, 1, 2]], rng=v)),
    ],
    "count": [
        ("max_sweeps", lambda v: BINARY.recall(SPINS, max_sweeps=v)),
        ("max_sweeps", lambda v: BINARY.recall(SPINS, synchronous=True, max_sweeps=v)),
        ("max_sweeps", lambda v: LINEAR.recall([[0, 1, 2]], max_sweeps=v)),
        ("sweeps", lambda v: BINARY.heat_bath(SPINS, rng(), sweeps=v)),
        ("sweeps", lambda v: COUPLED.heat_bath(SPINS, rng(), sweeps=v)),
        ("max_steps", lambda v: POINTS.recall([[0.0, 0.0]], max_steps=v)),
        ("steps", lambda v: POINTS.flow([[0.0, 0.0]], v)),
        ("steps", lambda v: PseudoLikelihood.fit(SPINS, steps=v)),
        ("steps", lambda v: PseudoLikelihood.fit_lbfgs(SPINS, steps=v)),
        ("steps", lambda v: TokenPseudoLikelihood.fit([[0, 1]], 2, steps=v)),
        ("steps", lambda v: TokenPseudoLikelihood.fit_lbfgs([[0, 1]], 2, steps=v)),
        ("trials", lambda v: repaired(BINARY, SPINS, 1, rng(), trials=v)),
        ("trials", lambda v: basin_radius(BINARY, SPINS, rng(), trials=v)),
        ("trials", lambda v: log_volume(BINARY, SPINS[0], rng(), trials=v)),
        ("a size", lambda v: loads(rng(), sizes=(v,))),
        ("sets", lambda v: loads(rng(), sets=v)),
        ("probed", lambda v: loads(rng(), probed=v)),
        ("draws", lambda v: CURVE.falls_through(0.8, rng(), draws=v)),
        ("draws", lambda v: CURVE.replicates(0.8, rng(), draws=v)),
    ],
    "site": [
        ("site", lambda v: BINARY.step(SPINS, v)),
        ("site", lambda v: TOKEN.step([[0, 1, 2]], v)),
    ],
    "positive": [
        ("beta", LogSumExp),
        ("beta", LogSumReLU),
        ("beta", lambda v: ContinuousMemory([[1.0]], v)),
        ("beta", lambda v: TokenMemory([[0, 1]], 2, v)),
        ("beta", lambda v: BINARY.conditionals(SPINS, v)),
        ("beta", lambda v: BINARY.heat_bath(SPINS, rng(), beta=v)),
        ("beta", lambda v: COUPLED.conditionals(SPINS, v)),
        ("beta", lambda v: COUPLED.heat_bath(SPINS, rng(), beta=v)),
        ("beta", lambda v: PseudoLikelihood(np.zeros((2, 2)), v)),
        ("beta", lambda v: PseudoLikelihood.fit(SPINS, beta=v)),
        ("beta", lambda v: PseudoLikelihood.fit_lbfgs(SPINS, beta=v)),
        ("lr", lambda v: PseudoLikelihood.fit(SPINS, lr=v)),
        ("lr", lambda v: TokenPseudoLikelihood.fit([[0, 1]], 2, lr=v)),
        ("tolerance", lambda v: POINTS.recall([[0.0, 0.0]], tolerance=v)),
        ("tau", lambda v: POINTS.flow([[0.0, 0.0]], 1, v)),
        ("share", lambda v: basin_radius(BINARY, SPINS, rng(), share=v)),
        ("gamma", gardner_margin),
        ("beta", gaussian),
        ("beta", inverse),
        ("beta", truncated),
    ],
    "not negative": [
        ("decay", lambda v: PseudoLikelihood.fit(SPINS, decay=v)),
        ("decay", lambda v: PseudoLikelihood.fit_lbfgs(SPINS, decay=v)),
        ("decay", lambda v: TokenPseudoLikelihood.fit([[0, 1]], 2, decay=v)),
        ("decay", lambda v: TokenPseudoLikelihood.fit_lbfgs([[0, 1]], 2, decay=v)),
        ("error", lambda v: Couplings(np.zeros((2, 2)), v)),
        ("kappa", gardner_load),
        ("kappa", repaired_share),
        ("lam", lambda v: Propagation(SIMPLE, v)),
        ("tau", lambda v: NODES.step([[0.0]], v)),
    ],
    "finite": [
        ("origin", lambda v: LogSumReLU(1.0, v)),
        ("within", lambda v: repaired(BINARY, SPINS, 1, rng(), within=v)),
        ("within", lambda v: basin_radius(BINARY, SPINS, rng(), within=v)),
        ("within", lambda v: census(BINARY, SPINS, SPINS, rng(), within=v)),
        ("level", lambda v: CURVE.falls_through(v, rng())),
        ("states", lambda v: POINTS.energy([[v, 0.0]])),
        ("patterns", lambda v: DensityMemory([[v]], LogSumExp())),
        ("W", lambda v: Couplings([[0.0, v], [v, 0.0]])),
        ("clamped", lambda v: Propagation(SIMPLE, clamped=[[v]])),
        ("nodes", lambda v: NODES.safe_step([[v]])),
        ("nodes", lambda v: NODES.largest_step([[v]])),
        ("before", lambda v: NODES.energy([[0.0]], [[v]])),
        ("queries", lambda v: simple([[v]], TWO, TWO)),
        ("keys", lambda v: advanced(TWO, [[v], [1.0]], TWO)),
        ("values", lambda v: simple(TWO, TWO, [[v], [1.0]])),
    ],
    "power": [("n", Power)],
    "vocabulary": [
        ("V", lambda v: TokenMemory([[0, 1]], v)),
        ("V", lambda v: TokenPseudoLikelihood.fit([[0, 1]], v)),
    ],
    "logarithm": [("F", lambda v: DensityMemory([[0.0]], v))],
    "separation": [
        ("F", lambda v: BinaryMemory(SPINS, v)),
        ("F", lambda v: TokenMemory([[0, 1]], 2, F=v)),
    ],
}


@pytest.mark.parametrize(("name", "call", "value"), kinds.wrong(CALLS))
def test_a_wrong_argument_gets_one_line_that_names_it(name, call, value):
    kinds.refuses(name, call, value)


def test_right_arguments_are_taken():
    kinds.takes(CALLS)


def test_a_count_of_changes_is_whole():
    with pytest.raises(TypeError, match="count must be integers, got dtype float64"):
        change(SPINS, 1.5, VALUES, rng())

"""What a memory keeps is its own: nobody changes it after it was checked, and nothing crashes.

Walks index without bounds, so a wrong token is a segmentation fault: those cases run in a child.
"""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hopfield import (
    BinaryMemory,
    ContinuousMemory,
    Couplings,
    DensityMemory,
    LogSumExp,
    Power,
    PseudoLikelihood,
    TokenMemory,
    TokenPseudoLikelihood,
    hebbian,
)
from hopfield.landscape import Damage
from hopfield.separation import OverlapTable

ROOT = Path(__file__).parents[1]
SPINS = np.array([[1, -1, 1], [-1, -1, 1]], np.int8)
TOKENS = np.array([[0, 1, 2], [2, 1, 0]], np.int32)
POINTS = np.array([[0.5, 1.0], [-1.0, 2.0]])
W = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, -1.0], [0.5, -1.0, 0.0]])
BLOCKS = np.zeros((2, 3, 2, 3))
BIASES = np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 1.0]])

CHILD = """
import threading
import numpy as np
from hopfield import LogSumReLU, Power, TokenMemory, TokenPseudoLikelihood

WRONG = 10**8
states = {L: np.random.default_rng(0).integers(5, size=(4, L)) for L in (1, 3)}

def ask(memory, x):
    found = [memory.energy(x), memory.step(x, 0), memory.recall(x).state,
             memory.recall(x, synchronous=True).state, memory.conditionals(x),
             memory.heat_bath(x, np.random.default_rng(0)).state]
    return np.concatenate([np.ravel(part) for part in found])

for P, L in ((1, 3), (4, 1), (1, 1), (4, 3)):
    for F in (None, Power(3), LogSumReLU(0.5, 3.0)):
        for dtype in (np.int32, np.int64):
            for order in "CF":
                x = np.array(np.random.default_rng(1).integers(5, size=(P, L)), dtype, order=order)
                memory = TokenMemory(x, 5, F=F)
                before = ask(memory, states[L])
                x[:] = WRONG
                for name in ("patterns", "values"):
                    shown = getattr(memory, name)
                    shown.flags.writeable = True
                    shown[:] = WRONG
                np.testing.assert_array_equal(ask(memory, states[L]), before)
    print("patterns", P, L, flush=True)

W, b = np.zeros((3, 5, 3, 5)), np.random.default_rng(2).normal(size=(3, 5))
linear, dense = TokenPseudoLikelihood(W, b), TokenMemory(states[3], 5)
W[:], b[:] = 1.0, np.nan
assert np.isfinite(linear.logits(states[3])).all()
print("couplings", flush=True)

x, done = np.zeros((400, 3), np.int32), threading.Event()
def write():
    while not done.is_set():
        x[:] = WRONG
        x[:] = 0
writer = threading.Thread(target=write)
writer.start()
for _ in range(300):
    for call in (linear.logits, linear.recall, dense.energy, dense.recall, dense.conditionals):
        try:
            call(x)
        except ValueError as error:
            assert "states must lie in 0" in str(error)
done.set()
writer.join()
print("threads", flush=True)
"""


def test_no_array_of_the_callers_reaches_a_walk_after_its_check():
    child = [sys.executable, "-c", CHILD]
    found = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.split()[-1] == "threads"


@pytest.mark.parametrize(
    ("build", "handed", "ask"),
    [
        (BinaryMemory, [SPINS], lambda m: m.energy(SPINS)),
        (lambda x: BinaryMemory(x, LogSumExp(2.0)), [SPINS[:1]], lambda m: m.energy(SPINS)),
        (lambda x: TokenMemory(x, 3), [TOKENS], lambda m: m.energy(TOKENS)),
        (ContinuousMemory, [POINTS], lambda m: m.energy(POINTS)),
        (lambda x: DensityMemory(x, LogSumExp()), [POINTS], lambda m: m.step(POINTS)),
        (Couplings, [W], lambda m: m.fields(SPINS)),
        (PseudoLikelihood, [W], lambda m: m.entropies(SPINS)),
        (TokenPseudoLikelihood, [BLOCKS, BIASES], lambda m: m.logits([[0, 1]])),
        (
            lambda x: Damage(x, np.arange(3), np.random.default_rng(0)),
            [TOKENS],
            lambda m: m.at(1),
        ),
    ],
)
def test_a_memory_does_not_change_with_what_it_was_built_from(build, handed, ask):
    arrays = [array.copy() for array in handed]
    memory = build(*arrays)
    before = np.copy(ask(memory))
    for array in arrays:
        array[:] = -array + 7
    np.testing.assert_array_equal(ask(memory), before)


@pytest.mark.parametrize(
    ("memory", "names"),
    [
        (BinaryMemory(SPINS), ["V", "F", "patterns", "values"]),
        (TokenMemory(TOKENS, 3), ["V", "F", "patterns", "values"]),
        (ContinuousMemory(POINTS), ["F", "patterns"]),
        (hebbian(SPINS), ["W", "values"]),
        (PseudoLikelihood(W), ["W", "beta"]),
        (TokenPseudoLikelihood(BLOCKS, BIASES), ["W", "b", "V"]),
    ],
)
def test_what_a_memory_shows_can_neither_be_written_nor_replaced(memory, names):
    for name in names:
        shown = getattr(memory, name)
        with pytest.raises(AttributeError):
            setattr(memory, name, shown)
        if isinstance(shown, np.ndarray) and name != "values":  # those are drawn up anew each time
            with pytest.raises(ValueError, match="read-only"):
                shown[:] = 0


def test_a_memory_survives_pickling():
    for memory, x in ((hebbian(SPINS), SPINS), (TokenMemory(TOKENS, 3), TOKENS)):
        again = pickle.loads(pickle.dumps(memory))
        np.testing.assert_array_equal(again.energy(x), memory.energy(x))
        shown = again.W if isinstance(again, Couplings) else again.patterns
        with pytest.raises(ValueError, match="read-only"):
            shown[:] = 0


class Custom(Power):
    """A separation function whose table a test chooses."""

    def table(self, overlaps):
        return TABLES[self.n](overlaps)


GOOD = np.arange(4.0)
TABLES = {
    2: lambda z: OverlapTable(np.arange(1.0), np.arange(4.0), 0.0, 0.0),
    3: lambda z: OverlapTable(GOOD, np.arange(3.0), 0.0, 0.0),
    4: lambda z: OverlapTable(GOOD, np.array([0, np.nan, 0, 0]), 0.0, 0.0),
    5: lambda z: OverlapTable(GOOD, GOOD, -1.0, 0.0),
    6: lambda z: OverlapTable(GOOD, GOOD, 0.0, 1.0),
    7: lambda z: OverlapTable(GOOD, GOOD, 1.0, np.inf),
    8: lambda z: OverlapTable(5e307 * GOOD, GOOD, 0.0, 0.0),
}


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (2, "F.table must have 4 finite values of f"),
        (3, "F.table must have 4 finite values of delta_f"),
        (4, "F.table must have 4 finite values of delta_f"),
        (5, "beta of F.table must be at least 0 and finite, got -1.0"),
        (6, "a log_ratio, so Q is a logarithm and needs its beta"),
        (7, "log_ratio of F.table must be at least 0 and finite, got inf"),
        (8, r"the energy of 2 patterns with Custom\(n=8, rectified=False\) leaves float64"),
    ],
)
def test_a_table_that_walks_cannot_index_is_refused(n, message):
    with pytest.raises(ValueError, match=message):
        TokenMemory(TOKENS, 3, F=Custom(n))


def test_a_table_is_kept_as_a_copy(monkeypatch):
    table = OverlapTable(np.arange(4.0) ** 2, np.array([1.0, 3.0, 5.0, 0.0]), 0.0, 0.0)
    monkeypatch.setitem(TABLES, 9, lambda z: table)
    memory = TokenMemory(TOKENS, 3, F=Custom(9))
    before = memory.energy(TOKENS)
    table.f[:] = 0
    np.testing.assert_array_equal(memory.energy(TOKENS), before)


@pytest.mark.parametrize("V", [2**31, 2**40, 2**64])
def test_more_values_than_a_token_can_have_are_refused(V):
    with pytest.raises(ValueError, match=f"V must be at most 2147483647, got {V}"):
        TokenMemory(TOKENS, V)


@pytest.mark.parametrize("spins", [False, True])
def test_an_energy_that_leaves_float64_is_refused(spins):
    """(2·10⁶)⁵⁰ would be an energy of -∞, and every state a minimum."""
    long = np.ones((1, 2_000_000), np.int8)
    message = r"Power\(n=50, rectified=False\) leaves float64 at an overlap of 2e\+06"
    with pytest.raises(ValueError, match=message):
        BinaryMemory(long, Power(50)) if spins else TokenMemory(long, 2, F=Power(50))
    with pytest.raises(ValueError, match=message):
        Power(50).potential([2e6, 1.0])
    with pytest.raises(ValueError, match="leaves float64"):
        Power(49).potential([-1e7, 1e7])  # and no -∞ + ∞
    assert np.isfinite(BinaryMemory(long, Power(48)).energy(long)).all()

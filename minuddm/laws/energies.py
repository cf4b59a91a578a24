"""The laws of an energy with its own updates: an associative memory [T17]-[T19].

A subject stores: `store(patterns)` returns a memory of patterns (P, L). It has `values` (V,), those
of a site; without them the states are points of a space, (B, D). Of the memory's methods any
number, for states x (B, L):

    energy(x)                       E (B,)
    step(x, site)                   x with one site set to its value of lowest energy
    recall(x)                       where descent from x ends, an array or with it as `.state`; if
                                    it has `.energies` (B, S), these are E along the way
    conditionals(x, beta)           the heat bath p(x_i = v | rest) (B, L, V), or that of the last
                                    of two values (B, L)
    heat_bath(x, rng, beta=beta)    states after a sweep of draws from it, as for `recall`

`Storing` makes a subject of a class or function. `symmetric = True` claims that the order of the
patterns is all the same. An energy is right to 64 (P + L) ulps of the largest finite one at hand,
and energies closer than that tie.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minuddm.laws.law import (
    Array,
    Strategy,
    frequencies,
    holds,
    law,
    same,
    seeds,
    ulp,
)


@dataclass(frozen=True)
class Storing:
    """A way to store patterns: a subject of this suite. Without values, states are points."""

    store: Callable[[Array], Any]
    values: Any = None
    name: str = ""
    symmetric: bool = True

    def __repr__(self) -> str:
        return self.name or getattr(self.store, "__name__", repr(self.store))


def a_memory(subject: Any) -> Any:
    """Return a memory of one pattern, to see which methods it has."""
    if getattr(subject, "values", None) is None:
        return subject.store(np.array([[0.0, 1.0]]))
    return subject.store(np.asarray(subject.values)[[[0, 1]]])


of_memories = partial(law, of=a_memory)


@st.composite
def _worlds(draw: st.DrawFn, subject: Any) -> tuple[Array, Array]:
    P, L = draw(st.sampled_from([1, 2, 3, 8, 40])), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(seeds))
    values = getattr(subject, "values", None)
    if values is None:
        patterns, states = rng.normal(size=(P, L)), 2 * rng.normal(size=(3, L))
    else:
        patterns, states = (rng.choice(np.asarray(values), size=(n, L)) for n in (P, 3))
    if draw(st.booleans()):
        patterns[: P // 2] = patterns[P - P // 2 :]
    states[0, 1:] = patterns[0, 1:]
    return patterns, states


def worlds(subject: Any) -> Strategy:
    """Return pairs of patterns (P, L), repeated ones included, and states (3, L), one of them near.

    P and L are 1 … 40 and 1 … 12: below and far above what a memory holds.
    """
    return _worlds(subject)


def _state(found: Any) -> Array:
    return np.asarray(getattr(found, "state", found))


def _energies_of_values(subject: Any, memory: Any, x: Array) -> Array:
    """Return E (B, L, V) of the states x (B, L) with each value put at each site."""
    (B, L), values = x.shape, np.asarray(subject.values)
    V = len(values)
    moved = np.tile(x[:, None, None], (1, L, V, 1))
    for i in range(L):
        moved[:, i, :, i] = values
    return np.asarray(memory.energy(moved.reshape(-1, L))).reshape(B, L, V)


def _slack(patterns: Array, *energies: Array) -> float:
    """Return what the comparison of energies may be wrong by."""
    finite = np.concatenate([np.abs(E[np.isfinite(E)]) for E in energies] + [np.ones(1)])
    return 64 * sum(patterns.shape) * ulp(*energies) * float(finite.max())


def _not_above(after: Array, before: Array, slack: float, what: str) -> None:
    """Raise unless E did not rise; infinite energies are as high as any."""
    with np.errstate(invalid="ignore"):
        fell = (after <= before) | (after - before <= slack)
    holds(fell, f"{what} (E = {np.round(after, 6).tolist()} after {np.round(before, 6).tolist()})")


# ---- descent -------------------------------------------------------------------------------------


@of_memories("[T17], [T19]", "values energy step", world=worlds)
def updates_descend(subject: Any, world: tuple[Array, Array]) -> None:
    """An update changes one site, and E does not rise."""
    patterns, x = world
    memory = subject.store(patterns)
    before = np.asarray(memory.energy(x))
    for i in range(x.shape[1]):
        y = np.asarray(memory.step(x.copy(), i))
        elsewhere = np.arange(x.shape[1]) != i
        same(y[:, elsewhere], x[:, elsewhere], 0, f"updated at {i}, the rest of x")
        after = np.asarray(memory.energy(y))
        _not_above(after, before, _slack(patterns, before, after), f"E not above, site {i}")


@of_memories("[T17], [T19]", "values energy step", world=worlds)
def updates_are_optimal(subject: Any, world: tuple[Array, Array]) -> None:
    """An update takes the value of lowest energy."""
    patterns, x = world
    memory = subject.store(patterns)
    E = _energies_of_values(subject, memory, x)
    for i in range(x.shape[1]):
        after = np.asarray(memory.energy(np.asarray(memory.step(x.copy(), i))))
        _not_above(after, E[:, i].min(axis=1), _slack(patterns, E), f"E lowest, site {i}")


@of_memories("[T16], [T19]", "values step", "symmetric", world=worlds)
def ties_stay(subject: Any, world: tuple[Array, Array]) -> None:
    """Of values that tie the present one stays.

    Two patterns that differ at one site pull it equally to the values that they have there.
    """
    pattern, (x, *_) = world[0][0], world[1]
    a, b = np.asarray(subject.values)[[0, -1]]
    for i in range(len(x)):
        here = np.arange(len(x)) == i
        memory = subject.store(np.stack([np.where(here, v, pattern) for v in (a, b)]))
        for v in (a, b):
            tied = np.where(here, v, x)[None]
            same(memory.step(tied.copy(), i), tied, 0, f"x with the tied value {v} at site {i}")


@of_memories("[T17]-[T19]", "energy recall", world=worlds)
def recall_descends(subject: Any, world: tuple[Array, Array]) -> None:
    """E does not rise along a recall.

    From start to end and, where the recall tells, at every sweep or step between.
    """
    patterns, x = world
    memory = subject.store(patterns)
    found = memory.recall(x.copy())
    before, after = (np.asarray(memory.energy(y)) for y in (x, _state(found)))
    slack = _slack(patterns, before, after)
    _not_above(after, before, slack, "E of the end not above that of the start")
    trace = getattr(found, "energies", None)
    if trace is not None:
        E = np.asarray(trace)
        _not_above(E[:, 1:], E[:, :-1], _slack(patterns, E), "E not above the sweep before")
        same(E[:, -1], after, slack, "the last energy of the recall")


@of_memories("[T17], [T19]", "values energy recall", world=worlds)
def fixed_points_are_optimal(subject: Any, world: tuple[Array, Array]) -> None:
    """Where a recall ends it stays, and no change of one site lowers E."""
    patterns, x = world
    memory = subject.store(patterns)
    found = memory.recall(x.copy())
    end = _state(found)
    holds(getattr(found, "converged", True), "that the recall has converged")
    same(_state(memory.recall(end.copy())), end, 0, "recalled again, the end")
    here, E = np.asarray(memory.energy(end)), _energies_of_values(subject, memory, end)
    _not_above(here, E.min(axis=(1, 2)), _slack(patterns, E), "E of the end lowest")


# ---- heat bath -----------------------------------------------------------------------------------


@of_memories(
    "[T19], [T43]",
    "values energy conditionals",
    world=worlds,
    beta=st.just(1.0) | st.floats(0.01, 20),
)
def reversible_heat_bath(subject: Any, world: tuple[Array, Array], beta: float) -> None:
    """e^{-βE(x)} p(x → y) = e^{-βE(y)} p(y → x) for a heat bath of one site.

    Said of all values of a site at once: p(x_i = v | rest) ∝ e^{-βE(x with x_i = v)}.
    """
    patterns, x = world
    memory = subject.store(patterns)
    p = np.asarray(memory.conditionals(x.copy(), beta))
    if p.ndim == 2:
        p = np.stack([1 - p, p], axis=-1)
    E = _energies_of_values(subject, memory, x)
    lowest = E.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        weight = np.exp(-beta * np.where(np.isfinite(lowest), E - lowest, 0.0))
    wanted = weight / weight.sum(axis=-1, keepdims=True)
    allowed = 4 * beta * _slack(patterns, E) + 64 * len(p.T) * ulp(p)
    same(p, wanted, allowed, "p of (b, i, v)")


@of_memories("[T19], [T43]", "values energy heat_bath")
def invariant_heat_bath(subject: Any) -> None:
    """A sweep of the heat bath leaves the law e^{-βE} as it is.

    All sites at once, or a site that is chosen by looking at the state, move it. Chi-square, with
    a false alarm of 1e-6 and fixed seeds.
    """
    values, rng = np.asarray(subject.values), np.random.default_rng(0)
    L = 3 if len(values) < 5 else 2
    memory = subject.store(rng.choice(values, size=(3, L)))
    states = np.array(list(itertools.product(values.tolist(), repeat=L)), values.dtype)
    E = np.asarray(memory.energy(states), dtype=np.float64)
    spread = float(E[np.isfinite(E)].std())
    beta = 1 / spread if spread > 0 else 1.0
    weight = np.exp(-beta * (E - E.min()))
    chance = weight / weight.sum()
    start = states[rng.choice(len(states), size=40_000, p=chance)]
    end = _state(memory.heat_bath(start.copy(), rng, beta=beta))
    counts = [int((end == state).all(axis=1).sum()) for state in states]
    frequencies(counts, chance, 1, "the law after a sweep (by number of the state)")


@of_memories("[T19]", "energy", "symmetric", world=worlds)
def symmetric_in_its_patterns(subject: Any, world: tuple[Array, Array]) -> None:
    """E does not depend on the order of the patterns."""
    patterns, x = world
    E = np.asarray(subject.store(patterns).energy(x))
    for order in (patterns[::-1].copy(), np.roll(patterns, 1, axis=0)):
        same(subject.store(order).energy(x), E, _slack(patterns, E), "E of another order")

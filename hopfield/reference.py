"""The dense associative memory as lines of NumPy: energy, update, recall, from the definition.

P patterns ξ^μ of L sites are stored. The energy of a state x depends on its P overlaps u_μ with
them alone, through a function Q, the potential of a `Separation` [T17], [T19] (no kernel here):

    u_μ(x) = Σ_i 1[ξ_i^μ = x_i]                    overlap of tokens: matches
    u_μ(x) = Σ_i ξ_i^μ x_i                         overlap of spins, ±1
    E(x) = -Q(u_1 … u_P)                           energy: low where a pattern is near
    x_i ← argmin_v E(x with x_i = v)               update of one site; a tie keeps x_i
    p(x_i = v | rest) ∝ e^{-β E(x with x_i = v)}   heat bath at β; the update as β → ∞ with Q fixed

*Why E never rises.* An update compares the present value with the others: it lowers E or changes
nothing. So no state that was left returns, and as there are finitely many, recall ends; where it
ends no change of one site lowers E.

*An update is a vote.* Take tokens and Q = (1/β) log Σ_μ e^{β u_μ}. With m_μ^{-i} the matches
outside site i, pattern μ overlaps with x_i = v by m_μ^{-i} + 1[ξ_i^μ = v], hence

    Σ_μ e^{β u_μ} = Σ_μ e^{β m_μ^{-i}} + (e^β - 1) Σ_{μ: ξ_i^μ = v} e^{β m_μ^{-i}}

and only the last sum depends on v. The update is therefore

    x_i ← argmax_v Σ_{μ: ξ_i^μ = v} e^{β m_μ^{-i}}                                         [T19]

in which each pattern names its own value with a weight that grows with its matches *elsewhere*.
The denoiser with a perfect memory decides by the same sum [T14]: that is the keystone [T16]. There
the heat bath has the β of Q.

A sweep costs O(P L² V) here and O(P L) in `TokenMemory` and `BinaryMemory`; tests compare them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from hopfield.separation import Separation

Array = NDArray[Any]


def matches(x: Array, patterns: Array) -> Array:
    """Return the number of sites, (P,), at which tokens x (L,) agree with each pattern."""
    return np.asarray((patterns == x).sum(axis=1))


def products(x: Array, patterns: Array) -> Array:
    """Return ξ^μ · x, (P,), for spins x (L,)."""
    return np.asarray(patterns.astype(int) @ x)


@dataclass(frozen=True)
class PlainMemory:
    """Patterns (P, L), the values (V,) of a site, the Q above as `F`, and the kind of overlap."""

    patterns: Array
    values: Array
    F: Separation
    overlaps: Callable[[Array, Array], Array] = matches

    def energy(self, x: Array) -> float:
        """Return E of the state x (L,)."""
        return -float(self.F.potential(self.overlaps(x, self.patterns)))

    def site_energies(self, x: Array, i: int) -> Array:
        """Return E, (V,), of x with each of the values put at site i."""
        return np.array([self.energy(_put(x, i, v)) for v in self.values])

    def update(self, x: Array, i: int) -> Array:
        """Return x with the value of lowest energy at site i; energies equal up to rounding tie."""
        E = self.site_energies(x, i)
        lowest = self.values[np.isclose(E, E.min(), rtol=1e-12, atol=1e-12)]
        return x if x[i] in lowest else _put(x, i, lowest[0])

    def sweep(self, x: Array) -> Array:
        """Return x with all sites updated in order, each seeing the changes before it."""
        for i in range(len(x)):
            x = self.update(x, i)
        return x

    def recall(self, x: Array) -> Array:
        """Return where sweeps from x (L,) end: the first state that a sweep does not change."""
        while True:
            after = self.sweep(x)
            if (after == x).all():
                return x
            x = after

    def heat_bath(self, x: Array, i: int, beta: float) -> Array:
        """Return p, (V,), of site i given the others; uniform if every energy is ∞."""
        E = self.site_energies(x, i)
        return np.asarray(scipy.special.softmax(-beta * np.where(E.min() < np.inf, E, 0.0)))


def _put(x: Array, i: int, v: Any) -> Array:
    """Return a copy of x with x_i = v."""
    y = x.copy()
    y[i] = v
    return y

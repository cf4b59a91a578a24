"""The dense associative memory on tokens: a Hopfield network whose state is a sequence [T19].

P patterns ξ^μ over V values are stored; the overlap m_μ(x) of a state x is its number of matches.

    E(x) = -(1/β) log Σ_μ e^{β m_μ(x)}                         energy, log-sum-exp
    P(x_i = v | rest) ∝ Σ_μ e^{β (m_μ^{-i} + 1[ξ_i^μ = v])}     heat bath at its own temperature
    x_i ← argmax_v Σ_{μ: ξ_i^μ = v} e^{β m_μ^{-i}}              descent: its zero-temperature limit

with m^{-i} the matches outside position i. The last line follows from the one above it: the sum
over all μ is common to every v, and each pattern with ξ_i^μ = v adds (e^β - 1) e^{β m_μ^{-i}} to
it. A site moves only where this lowers E, so E never rises and descent ends at a fixed point.

The overlaps are kept up to date as tokens change: a sweep over all sites costs O(P L), where
energies computed from scratch would cost O(P L² V).
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from hopfield.compiled import sweep
from hopfield.recall import Recall


class TokenMemory:
    """Patterns (P, L) over V values, stored at inverse temperature β > 0."""

    def __init__(self, patterns: ArrayLike, V: int, beta: float = 1.0) -> None:
        if isinstance(V, bool) or not isinstance(V, int | np.integer) or V < 2:
            raise ValueError(f"V must be an integer of at least 2, got {V!r}")
        if not (math.isfinite(beta) and beta > 0):
            raise ValueError(f"beta must be positive and finite, got {beta}")
        self.V, self.beta = int(V), float(beta)
        stored = self._checked(patterns, "patterns")
        if stored.size == 0:
            raise ValueError(f"patterns must not be empty, got shape {stored.shape}")
        self._columns = np.ascontiguousarray(stored.T)  # (L, P): a site reads one row

    @property
    def patterns(self) -> NDArray[np.int32]:
        """The stored patterns (P, L)."""
        return np.ascontiguousarray(self._columns.T)

    def energy(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return E (B,) of the states x (B, L)."""
        state = self._queries(x)
        out = np.empty(len(state))
        _energies(out, state, self._columns, self.beta)
        return out

    def conditionals(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the heat-bath probabilities (B, L, V) of each token given the others."""
        state = self._queries(x)
        out = np.empty((*state.shape, self.V))
        _heat_bath(out, state, self._columns, self.beta)
        return out

    def recall(
        self, x: ArrayLike, *, rng: Generator | None = None, max_sweeps: int = 100
    ) -> Recall:
        """Descend from the states x (B, L), site by site, until a whole sweep changes nothing.

        Sites are visited in order, or with `rng` in a random order drawn anew for every query and
        sweep. A site whose best values tie, up to the rounding of a sum of P terms, keeps its
        present one.
        """
        state = self._queries(x).copy()
        if max_sweeps < 1:
            raise ValueError(f"max_sweeps must be at least 1, got {max_sweeps}")
        B, L = state.shape
        active = np.arange(B)
        order = np.tile(np.arange(L), (B, 1))
        trace = [self.energy(state)]
        steps = np.zeros(B, np.int64)
        for _ in range(max_sweeps):
            if rng is not None:
                rng.permuted(order, axis=1, out=order)
            changed = np.zeros(len(active), np.bool_)
            energies = trace[-1].copy()
            _descend(
                state, changed, energies, active, order[active], self._columns, self.V, self.beta
            )
            trace.append(energies)
            steps[active[changed]] += 1
            active = active[changed]
            if len(active) == 0:
                break
        converged = np.ones(B, np.bool_)
        converged[active] = False
        return Recall(state, np.stack(trace, axis=1), steps, converged)

    def _queries(self, x: ArrayLike) -> NDArray[np.int32]:
        state = self._checked(x, "states")
        if state.shape[1] != len(self._columns):
            raise ValueError(f"states must have length {len(self._columns)}, got {state.shape[1]}")
        return state

    def _checked(self, x: ArrayLike, name: str) -> NDArray[np.int32]:
        array = np.asarray(x)
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
        if array.ndim != 2:
            raise ValueError(f"{name} must have 2 axes, got shape {array.shape}")
        if array.size and (array.min() < 0 or array.max() >= self.V):
            outside = array.min() if array.min() < 0 else array.max()
            raise ValueError(f"{name} must lie in 0 … {self.V - 1}, got {outside}")
        return np.ascontiguousarray(array, dtype=np.int32)


@sweep
def _overlaps(m: NDArray[np.int32], x: NDArray[np.int32], columns: NDArray[np.int32]) -> None:
    """m_μ = number of sites at which pattern μ agrees with x."""
    m[:] = 0
    for i in range(columns.shape[0]):
        for mu in range(columns.shape[1]):
            m[mu] += columns[i, mu] == x[i]


@sweep
def _energy(m: NDArray[np.int32], beta: float) -> float:
    top = m.max()
    total = 0.0
    for mu in range(m.shape[0]):
        total += math.exp(beta * (m[mu] - top))
    return float(-(top + math.log(total) / beta))


@sweep
def _energies(
    out: NDArray[np.float64], state: NDArray[np.int32], columns: NDArray[np.int32], beta: float
) -> None:
    m = np.empty(columns.shape[1], np.int32)
    for b in range(state.shape[0]):
        _overlaps(m, state[b], columns)
        out[b] = _energy(m, beta)


@sweep
def _site_weights(
    weight: NDArray[np.float64],
    m: NDArray[np.int32],
    column: NDArray[np.int32],
    present: int,
    decay: NDArray[np.float64],
) -> float:
    """weight_v = Σ_{μ: ξ_i^μ = v} e^{β (m^{-i} - top)}, top the best m^{-i}; return Σ_v."""
    top = 0
    for mu in range(m.shape[0]):
        top = max(top, m[mu] - (column[mu] == present))
    weight[:] = 0
    for mu in range(m.shape[0]):
        v = column[mu]
        weight[v] += decay[top - m[mu] + (v == present)]
    return float(weight.sum())


@sweep
def _heat_bath(
    out: NDArray[np.float64], state: NDArray[np.int32], columns: NDArray[np.int32], beta: float
) -> None:
    L, P = columns.shape
    V = out.shape[2]
    m = np.empty(P, np.int32)
    decay = np.exp(-beta * np.arange(L + 1))
    shrink = math.exp(-beta)
    for b in range(state.shape[0]):
        _overlaps(m, state[b], columns)
        for i in range(L):
            total = _site_weights(out[b, i], m, columns[i], state[b, i], decay)
            scale = V * shrink * total + (1 - shrink) * total
            for v in range(V):  # Σ_μ e^{β m⁻} (1 + (e^β - 1) 1[ξ = v]), both sides times e^{-β}
                out[b, i, v] = (shrink * total + (1 - shrink) * out[b, i, v]) / scale


@sweep
def _descend(
    state: NDArray[np.int32],
    changed: NDArray[np.bool_],
    energies: NDArray[np.float64],
    active: NDArray[np.int64],
    order: NDArray[np.int64],
    columns: NDArray[np.int32],
    V: int,
    beta: float,
) -> None:
    """One sweep over the sites of every active query."""
    L, P = columns.shape
    m = np.empty(P, np.int32)
    weight = np.empty(V)
    decay = np.exp(-beta * np.arange(L + 1))
    tie = 1 + P * 2.3e-16  # P additions, each rounded by at most 2⁻⁵³
    for k in range(active.shape[0]):
        x = state[active[k]]
        _overlaps(m, x, columns)
        for i in order[k]:
            _site_weights(weight, m, columns[i], x[i], decay)
            best = x[i]
            for v in range(V):
                if weight[v] > weight[best] * (tie if best == x[i] else 1.0):
                    best = v
            if best != x[i]:
                changed[k] = True
                for mu in range(P):
                    m[mu] += (columns[i, mu] == best) - (columns[i, mu] == x[i])
                x[i] = best
        energies[active[k]] = _energy(m, beta)

"""The compiled walks of a dense memory over the sites of its states (`hopfield.dense` has the law).

A state x (L,) holds values 0 … V - 1, columns (L, P) the patterns, m (P,) the matches of each with
x, kept up to date as sites change. value, rise, rate, gap are a `hopfield.separation.Ladder`; with
gap > 0 its tables are read downwards from the best match (`moving`).
"""

import math

import numpy as np
from numpy.typing import NDArray

from hopfield.jit import jit_strict
from hopfield.recall import Bools, Floats, Sites

Codes = NDArray[np.int32]
_ROUNDING = 2.3e-16  # per addition, twice 2⁻⁵³ and a little


@jit_strict
def _matches(m: Codes, x: Codes, columns: Codes) -> None:
    """m_μ = number of sites at which pattern μ agrees with x."""
    m[:] = 0
    for i in range(columns.shape[0]):
        for mu in range(columns.shape[1]):
            m[mu] += columns[i, mu] == x[i]


@jit_strict
def energies(
    out: Floats,
    state: Codes,
    columns: Codes,
    value: Floats,
    rate: float,
    moving: bool,
    overlaps: Floats,
) -> None:
    """E of every state."""
    m = np.empty(columns.shape[1], np.int32)
    for b in range(state.shape[0]):
        _matches(m, state[b], columns)
        down = columns.shape[0] - m.max() if moving else 0  # the largest reads the last entry
        total = 0.0
        for mu in range(m.shape[0]):
            total += value[m[mu] + down]
        if rate == 0:
            out[b] = -total
        else:
            out[b] = -(math.log(total) / rate if total > 0 else -math.inf)
            if moving:
                out[b] -= overlaps[m.max()]


@jit_strict
def _site(W: Floats, m: Codes, column: Codes, present: int, rise: Floats, moving: bool) -> float:
    """W_v = Σ_{μ: ξ_i^μ = v} Δf(m⁻); return Σ |Δf|."""
    down = 0
    if moving:
        top = 0
        for mu in range(m.shape[0]):
            top = max(top, m[mu] - (column[mu] == present))
        down = rise.shape[0] - 1 - top
    W[:] = 0
    size = 0.0
    for mu in range(m.shape[0]):
        v = column[mu]
        step = rise[m[mu] - (v == present) + down]
        W[v] += step
        size += abs(step)
    return size


@jit_strict
def _best(W: Floats, present: int, size: float, P: int) -> int:
    """Return the first v of largest W_v, if it beats the present value by more than rounding."""
    best = present
    for v in range(W.shape[0]):
        if W[v] > W[best]:
            best = v
    return best if W[best] - W[present] > _ROUNDING * P * size else present


@jit_strict
def _set(x: Codes, i: int, v: int, m: Codes, column: Codes) -> None:
    """x_i ← v, and the matches with it."""
    for mu in range(m.shape[0]):
        m[mu] += (column[mu] == v) - (column[mu] == x[i])
    x[i] = v


@jit_strict
def descend(
    state: Codes,
    changed: Bools,
    active: Sites,
    order: Sites,
    columns: Codes,
    V: int,
    rise: Floats,
    moving: bool,
) -> None:
    """One sweep over the sites of every active query, one site after the other."""
    P = columns.shape[1]
    m, W = np.empty(P, np.int32), np.empty(V)
    for k in range(active.shape[0]):
        x = state[active[k]]
        _matches(m, x, columns)
        for i in order[k]:
            size = _site(W, m, columns[i], x[i], rise, moving)
            best = _best(W, x[i], size, P)
            if best != x[i]:
                changed[k] = True
                _set(x, i, best, m, columns[i])


@jit_strict
def step(out: Codes, state: Codes, columns: Codes, V: int, rise: Floats, moving: bool) -> None:
    """All sites at once."""
    L, P = columns.shape
    m, W = np.empty(P, np.int32), np.empty(V)
    for b in range(state.shape[0]):
        _matches(m, state[b], columns)
        for i in range(L):
            size = _site(W, m, columns[i], state[b, i], rise, moving)
            out[b, i] = _best(W, state[b, i], size, P)


@jit_strict
def _law(
    W: Floats,
    m: Codes,
    column: Codes,
    present: int,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """W ← the site's law at inverse temperature b."""
    if gap > 0:
        _log_sums(W, m, column, present, value, gap)
        power = b / rate
    else:
        _site(W, m, column, present, rise, False)
        power = b
        if rate > 0:
            common = 0.0
            for mu in range(m.shape[0]):
                common += value[m[mu] - (column[mu] == present)]
            for v in range(W.shape[0]):
                inside = common + W[v]
                W[v] = math.log(inside) / rate if inside > 0 else -1e308
    top, total = W.max(), 0.0
    for v in range(W.shape[0]):
        W[v] = math.exp(power * (W[v] - top))
        total += W[v]
    for v in range(W.shape[0]):
        W[v] /= total


@jit_strict
def _log_sums(W: Floats, m: Codes, column: Codes, present: int, value: Floats, gap: float) -> None:
    """W_v = log Σ_μ f(m⁻ + 1[ξ_i^μ = v]), less a common constant, for f that grows by e^gap a step.

    With m⁻ counted down from the best, d = best - m⁻, the patterns with d = 0 that v would raise
    stand above all others by a factor e^gap, which may not be a number: they are counted apart.
    """
    V, best = W.shape[0], 0
    for mu in range(m.shape[0]):
        best = max(best, m[mu] - (column[mu] == present))
    raised, others = np.zeros(V), np.zeros(V)  # at d = 0; below, in units of f(best)
    everything, last = 0.0, value.shape[0] - 1
    for mu in range(m.shape[0]):
        v = column[mu]
        d = best - m[mu] + (v == present)
        everything += value[last - d]
        others[v] -= value[last - d]
        if d == 0:
            raised[v] += 1
        else:
            others[v] += value[last - d + 1]
    for v in range(V):
        rest = everything + others[v]
        if raised[v] > 0:
            W[v] = math.log(raised[v] + math.exp(-gap) * rest)
        else:
            W[v] = math.log(rest) - gap


@jit_strict
def heat_bath(
    out: Floats,
    state: Codes,
    columns: Codes,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """out ← the laws of all sites, each given the others."""
    m = np.empty(columns.shape[1], np.int32)
    for k in range(state.shape[0]):
        _matches(m, state[k], columns)
        for i in range(columns.shape[0]):
            _law(out[k, i], m, columns[i], state[k, i], value, rise, rate, gap, b)


@jit_strict
def draw(
    state: Codes,
    u: Floats,
    columns: Codes,
    V: int,
    value: Floats,
    rise: Floats,
    rate: float,
    gap: float,
    b: float,
) -> None:
    """Draw the sites in turn, site i with the uniform u_i."""
    m, W = np.empty(columns.shape[1], np.int32), np.empty(V)
    for k in range(state.shape[0]):
        x = state[k]
        _matches(m, x, columns)
        for i in range(columns.shape[0]):
            _law(W, m, columns[i], x[i], value, rise, rate, gap, b)
            v, below = 0, W[0]
            while v < V - 1 and below <= u[k, i]:
                v += 1
                below += W[v]
            if v != x[i]:
                _set(x, i, v, m, columns[i])
